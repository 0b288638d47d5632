# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The servers of the installed service, with its real sessions and a ukey behind them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.operations import FUNCTIONS
from keyservice.client.bus_link import BusLink
from keyservice.client.channel import Deadline, ServiceRefused
from keyservice.client.session import Bus, Conversation, EventKind, SocketSession, Unreachable
from keyservice.contract import operations
from keyservice.contract.names import BUS_NAME, ROOT_SOCKET, Code, ErrorName
from keyservice.contract.steps import Prompt, Verdict
from tests.softkey.link import ATR
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.process import wait_until, wake_ups


def log_in(session: Conversation, pin: bytes) -> Verdict:
    for step in session.begin(operations.AUTHENTICATION, user="demo", service="login", tty="tty1"):
        if isinstance(step, Prompt):
            session.answer(bytearray(pin))
    assert isinstance(step, Verdict)
    return step


@pytest.fixture
def pid_of_service() -> Iterator[list[int]]:
    """The pid of a service that the bus started, which nobody else ends."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "its end")  # type: ignore[misc]


def test_the_bus_starts_the_service(host: Host, pid_of_service: list[int]) -> None:
    host.bus()
    start = time.monotonic()
    with Bus(timeout=20) as client:
        took = time.monotonic() - start
        link = BusLink(Deadline(5))
        pid_of_service.extend(link.drive("GetConnectionUnixProcessID", "s", (BUS_NAME,)))
        link.close()
        assert client.status()["version"]
        assert client.list_ukeys() == []
    print(f"activated, asked and answered in {took * 1e3:.0f} ms")
    with SocketSession(timeout=5) as session, pytest.raises(ServiceRefused):
        next(session.begin(operations.UNBLOCK_PIN, serial="x", flags=1))


def test_both_fronts_lead_to_the_same_verdicts(host: Host) -> None:
    host.pcscd()
    host.bus()
    user, ukey = host.user("demo"), host.softkey()
    assert ukey.pin is not None
    host.keyservice()
    host.bind(user, ukey)
    for kind in (Bus, SocketSession):
        with kind(timeout=20) as session:
            assert log_in(session, ukey.pin).code is Code.SUCCESS
        with kind(timeout=20) as session:
            verdict = log_in(session, b"000000")
            assert (verdict.code, verdict.error) == (Code.AUTH_ERR, ErrorName.PIN_WRONG)
    with Bus(timeout=20) as client:
        (row,) = (each for each in client.list_ukeys() if each["card"])
        assert (row["serial"], row["user"]) == (ukey.serial, "demo")
        readers, looks = client.probe()  # by a confined worker, through the real pcscd
        (atr,) = (each["atr"] for each in readers if each["card"])
        assert bytes.fromhex(atr) == bytes(ATR)
        found = {each["kind"]: each["known"] for each in looks}
        assert (found["gmt0017"], found["piv"]) == (True, False)
        (binding,) = client.list_bindings()
        assert (binding["user"], binding["revoked"]) == ("demo", False)
        events = client.events(10)
        ukey.remove()
        removed = next(events)
        ukey.insert()
        inserted = next(events)
        assert (removed.kind, inserted.kind) == (EventKind.REMOVED, EventKind.INSERTED)
        assert removed.reader == inserted.reader == row["reader"]


_AS_USER = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
os.setgroups([]); os.setresgid(*[int(sys.argv[2])] * 3); os.setresuid(*[int(sys.argv[2])] * 3)
from keyservice.client.session import Bus, ServiceRefused, SocketSession
from keyservice.contract import operations
from keyservice.access.operations import FUNCTIONS
out = {}
with Bus(timeout=10) as bus:
    out["ukeys"], out["bindings"] = bus.list_ukeys(), bus.list_bindings()
    out["status"] = bus.status()
    for name, ask in (("revocations", bus.list_revocations), ("probe", bus.probe),
                      ("unrevoke", lambda: bus.unrevoke("0" * 64)),
                      ("forget", lambda: bus.forget("demo")),
                      ("accept", bus.accept_state), ("export", bus.export_bindings),
                      ("look", lambda: bus.check_import("{}")),
                      ("import", lambda: bus.import_bindings("{}")),
                      ("throttle", lambda: bus.reset_throttle("x")),
                      ("verify", lambda: bus.verify_challenge("demo", bytes(32), bytes(64)))):
        try:
            out[name] = ask()
        except ServiceRefused as error:
            out[name] = error.name
for kind in (Bus, SocketSession):
    for operation in FUNCTIONS:
        with kind(timeout=10) as session:
            fields = {"serial": "x"} if operation is operations.UNBLOCK_PIN else {"user": "root"}
            try:
                said = list(session.begin(operation, **fields))[-1].error
            except ServiceRefused as error:
                said = error.name
            out[f"{kind.__name__} {operation.name}"] = said
print(json.dumps(out))
"""


def test_a_user_sees_and_may_only_what_is_his(host: Host) -> None:
    host.pcscd()
    host.bus()
    user, other, ukey = host.user("demo"), host.user("other"), host.softkey()
    host.keyservice()
    host.bind(user, ukey)

    def seen(uid: int) -> dict[str, Any]:
        command = [sys.executable, "-I", "-c", _AS_USER, str(CHECKOUT), str(uid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    own = seen(user.uid)
    (row,) = own["ukeys"]
    assert (row["mine"], row["serial"], row["user"]) == (True, ukey.serial, "demo")
    assert len(own["bindings"]) == 1
    foreign = seen(other.uid)
    (row,) = foreign["ukeys"]
    assert row.keys() == {"reader", "mine"}
    assert row["mine"] is False
    assert foreign["bindings"] == []
    for found in (own, foreign):
        assert "bindings" not in found["status"]
        for question in ("revocations", "unrevoke", "forget", "accept", "throttle", "verify"):
            assert found[question] == "NotAllowed"
        for question in ("export", "look", "import"):
            assert found[question] == "NotAllowed"
        assert found["probe"] == "NotAllowed"
        for kind in ("Bus", "SocketSession"):
            for operation in FUNCTIONS:
                assert found[f"{kind} {operation.name}"] == "NotAllowed", (kind, operation)


def test_the_sockets_are_served_while_the_bus_is_away(host: Host) -> None:
    host.pcscd()
    user, ukey = host.user("demo"), host.softkey()
    assert ukey.pin is not None
    bus = host.bus()
    service = host.keyservice()
    host.bind(user, ukey)
    bus.stop()
    with pytest.raises(Unreachable):
        Bus(timeout=5)
    with SocketSession(timeout=20) as session:
        assert log_in(session, ukey.pin).code is Code.SUCCESS
    host.bus()
    wait_until(_is_there, "the service on the new bus", 5)
    with Bus(timeout=20) as client:
        assert log_in(client, ukey.pin).code is Code.SUCCESS
    service.stop()
    assert not Path(ROOT_SOCKET).exists()


def _is_there() -> bool:
    """Whether the name is owned; does not have the bus start a second service."""
    link = BusLink(Deadline(5))
    try:
        return bool(link.drive("NameHasOwner", "s", (BUS_NAME,))[0])
    finally:
        link.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_bus", [True, False])
def test_an_idle_service_wakes_at_most_once_in_10_s(host: Host, with_bus: bool) -> None:
    if with_bus:
        host.bus()
    service = host.keyservice()
    wait_until(lambda: wake_ups(service.pid) > 0, "settled")
    # the quick attempts to find a bus are over, and those of its watcher to find pcscd
    time.sleep(2 if with_bus else 22)
    [watcher] = children(service.pid)
    before = wake_ups(service.pid), wake_ups(watcher)
    time.sleep(10)
    woken = wake_ups(service.pid) - before[0]
    print(f"idle, {'with' if with_bus else 'without'} a bus: woken {woken} times in 10 s")
    assert woken <= 1
    if not with_bus:
        assert wake_ups(watcher) - before[1] <= 1  # its patience has grown to 20 s


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
