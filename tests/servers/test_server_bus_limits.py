# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The share of the server on the bus that one account, or all of them, can take: never root's
part."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from keyservice.access.conversation import Caller, Request
from keyservice.contract import operations
from keyservice.contract.names import Code
from keyservice.contract.steps import Verdict
from keyservice.core.errors import Busy
from keyservice.servers import bus_clients
from keyservice.servers.bus_calls import ALL, MANY, PER_SENDER, Calls
from keyservice.servers.bus_clients import BusClients
from tests.servers.busstage import Stage, hold
from tests.servers.serverkit import ScriptedSessions, as_nobody, settled

REQUEST = Request(operations.AUTHENTICATION, "alice")


class Everybody:
    """A bus with thousands of uids on it: a real one would need a process for each."""

    async def credentials(self, name: str) -> tuple[int, int]:
        raise NotImplementedError

    async def watch(self, name: str) -> bool:
        return True

    def unwatch(self, name: str) -> None: ...


async def begin(clients: BusClients, uid: int, connection: int) -> None:
    await clients.begin(Caller(uid, 0, None, None, None, f":{uid}.{connection}"), REQUEST)


def test_a_uid_has_its_clients_all_others_theirs_and_root_its_own() -> None:
    async def run() -> None:
        clients = BusClients(ScriptedSessions(), Everybody())  # type: ignore[arg-type]
        each, others = bus_clients.CLIENTS_OF_UID, bus_clients.OTHER_CLIENTS
        for uid in range(1000, 1000 + others // each):
            for connection in range(each):
                await begin(clients, uid, connection)
            with pytest.raises(Busy):
                await begin(clients, uid, each)
        with pytest.raises(Busy):
            await begin(clients, 9999, 0)
        for connection in range(bus_clients.ROOT_CLIENTS):
            await begin(clients, 0, connection)
        with pytest.raises(Busy):
            await begin(clients, 0, 9999)
        clients.gone(":1000.0")
        await begin(clients, 9999, 0)

    asyncio.run(run())


def test_beyond_what_all_may_have_waiting_each_connection_has_one() -> None:
    calls = Calls()
    for number in range(MANY):
        sender = f":1.{number // PER_SENDER}"
        assert calls.admits(sender)
        calls.begun(sender)
        assert calls.admits(sender) == ((number + 1) % PER_SENDER != 0 and number + 1 < MANY)
    for number in range(1000, 1000 + ALL - MANY):
        assert calls.admits(f":1.{number}")
        calls.begun(f":1.{number}")
        assert not calls.admits(f":1.{number}")
    assert not calls.admits(":1.9999")
    calls.ended(":1.1000")
    assert calls.admits(":1.9999")


#: Connections to the bus, and calls on each whose replies it does not wait for.
_CALL = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[4])
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[2], interface="org.ukey.KeyService1")
held = [open_dbus_connection(sys.argv[1]) for _ in range(int(sys.argv[3]))]
for each in held:
    for _ in range(16):
        each.send(new_method_call(here, "ListUkeys"))
print("sent", flush=True)
sys.stdin.read()
"""


def test_calls_of_one_account_that_wait_leave_root_its_own(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.administration.hold = asyncio.Event()
        connections = MANY // PER_SENDER + 1
        paths = json.dumps(sys.path)
        flood: subprocess.Popen[bytes] = as_nobody(
            _CALL, stage.bus.address, stage.name, str(connections), paths
        )
        await settled(lambda: len(stage.administration.seen) >= MANY, 20)
        steps = await asyncio.to_thread(hold, b"123456")
        assert isinstance(steps[-1], Verdict)
        assert steps[-1].code is Code.SUCCESS
        stage.administration.hold.set()
        flood.kill()
        await asyncio.to_thread(flood.communicate)

    stage.run(play)
