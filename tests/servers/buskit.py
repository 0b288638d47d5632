# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A real dbus-daemon that belongs to the tests, with the system bus's rules and ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Caller
from keyservice.client import bus_link, link
from keyservice.servers.bus_service import BusService
from tests.servers.serverkit import ScriptedSessions, settled

CHECKOUT = Path(__file__).parents[2]
POLICY = CHECKOUT / "data/dbus/org.ukey.KeyService1.conf"

#: The defaults of /usr/share/dbus-1/system.conf, and the service's own policy.
_CONFIG = """\
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
  </policy>
  {more}
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon on a socket in `folder`."""

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        self.socket = folder / "bus"
        self.address = f"unix:path={self.socket}"
        self._config = folder / "bus.conf"
        more = policy if policy is not None else f"<include>{POLICY}</include>"
        self._config.write_text(_CONFIG.format(socket=self.socket, more=more))
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline(), "dbus-daemon does not start"

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.communicate()
            self._daemon = None


class ScriptedAdministration:
    """The calls of ``Administration``; `seen` has what was asked, and by whom."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, tuple[object, ...]]] = []
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None

    async def _note(self, name: str, caller: Caller, *arguments: object) -> None:
        self.seen.append((name, caller.uid, arguments))
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure

    async def list_ukeys(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        await self._note("list_ukeys", caller)
        return [{"reader": "Reader 0", "mine": True, "left": 3}]

    async def probe(
        self, caller: Caller
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        await self._note("probe", caller)
        return [{"reader": "Reader 0"}], [{"kind": "piv", "known": False}]

    async def list_bindings(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        await self._note("list_bindings", caller)
        return []

    async def export_bindings(self, caller: Caller) -> tuple[str, Sequence[Mapping[str, Any]]]:
        await self._note("export_bindings", caller)
        return "{}", [{"user": "bob"}]

    async def check_import(self, caller: Caller, document: str) -> Sequence[Mapping[str, Any]]:
        await self._note("check_import", caller, document)
        return [{"user": "alice", "state": "new"}]

    async def import_bindings(self, caller: Caller, document: str) -> Sequence[Mapping[str, Any]]:
        await self._note("import_bindings", caller, document)
        return [{"user": "alice", "state": "there"}]

    async def list_revocations(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        await self._note("list_revocations", caller)
        return [{"key": "00" * 32}]

    async def unrevoke(self, caller: Caller, key: str) -> None:
        await self._note("unrevoke", caller, key)

    async def forget(self, caller: Caller, user: str) -> Sequence[Mapping[str, Any]]:
        await self._note("forget", caller, user)
        return [{"user": user, "uid": 1000}]

    async def accept_state(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        await self._note("accept_state", caller)
        return [{"path": "/etc/usbkey/alice"}]

    async def reset_throttle(self, caller: Caller, serial: str) -> None:
        await self._note("reset_throttle", caller, serial)

    async def verify_challenge(
        self, caller: Caller, user: str, challenge: bytes, signature: bytes
    ) -> bool:
        await self._note("verify_challenge", caller, user, challenge, signature)
        return True

    async def status(self, caller: Caller) -> Mapping[str, Any]:
        await self._note("status", caller)
        return {"version": "1", "readers": 2, "shared_pcsc": False}


@asynccontextmanager
async def on_bus(
    bus: PrivateBus, sessions: ScriptedSessions, administration: ScriptedAdministration
) -> AsyncIterator[BusService]:
    """The service on `bus`, once it has its name (if the bus runs)."""
    service = BusService(sessions, administration, address=bus.address)  # type: ignore[arg-type]
    running = asyncio.create_task(service.run())
    try:
        if bus.socket.exists():
            await settled(lambda: service._connection is not None)
        yield service
    finally:
        running.cancel()
        await asyncio.wait([running])


def meet(monkeypatch: pytest.MonkeyPatch, bus: PrivateBus, sockets: Path) -> None:
    """Have the clients of this process find the private bus and sockets."""
    monkeypatch.setattr(bus_link, "SYSTEM_BUS", bus.address)
    monkeypatch.setattr(link, "ROOT_SOCKET", str(sockets / "root.sock"))
    monkeypatch.setattr(link, "USER_SOCKET", str(sockets / "user.sock"))


_AS_NOBODY = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
from jeepney import DBusAddress
from keyservice.client import bus_link
from keyservice.client.channel import Deadline, ClientError
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[3], interface="org.ukey.KeyService1")
out = []
for member, signature, body in json.loads(sys.argv[4]):
    body = tuple(each.encode() if kind == "y" else each
                 for kind, each in zip((signature or "").replace("ay", "y"), body))
    try:
        out.append(link.call(here, member, signature or None, body))
    except ClientError as error:
        out.append(getattr(error, "name", str(error)))
print(json.dumps(out))
"""


async def calls_by_nobody(
    bus: PrivateBus, owner: str, calls: Sequence[tuple[str, str, Sequence[object]]]
) -> list[Any]:
    """Replies, or names of errors, of `calls` (member, signature, body) by uid 65534."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-c",
        _AS_NOBODY,
        str(CHECKOUT),
        bus.address,
        owner,
        json.dumps(calls),
        stdout=subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    replies: list[Any] = json.loads(out)
    return replies
