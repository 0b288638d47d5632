# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Callers that do not read their replies, and a bus that takes none: the server goes on serving
others."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keyservice.client.bus_link import BusLink
from keyservice.client.channel import ClientError, Deadline
from keyservice.contract.names import BUS_NAME
from keyservice.servers import bus_unsent
from keyservice.servers.bus_service import BusService
from keyservice.servers.bus_unsent import Unsent
from tests.servers.buskit import POLICY, PrivateBus, meet
from tests.servers.busstage import Stage, linked
from tests.servers.serverkit import as_nobody, settled

#: Bytes that the bus keeps of what the service has sent; 127 MB where nothing else is configured.
KEPT = 200_000
#: Calls whose replies the bus waits for, of one connection: its own default.
WAITING = 128

#: Connections that ask for a long answer as often as the bus lets them, and read none.
_DEAF = """
import json, sys
sys.path[:0] = json.loads(sys.argv[4])
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[2],
                   interface="org.freedesktop.DBus.Introspectable")
held = [open_dbus_connection(sys.argv[1]) for _ in range(4)]
for each in held:
    for _ in range(int(sys.argv[3])):
        each.send(new_method_call(here, "Introspect"))
print("sent", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def deaf(stage: Stage) -> AsyncIterator[None]:
    """They hold their connections for as long as this lasts; inside, all calls have been made."""
    paths = json.dumps(sys.path)
    flood: subprocess.Popen[bytes] = as_nobody(
        _DEAF, stage.bus.address, stage.name, str(WAITING), paths
    )
    assert flood.stdout is not None
    try:
        assert await asyncio.to_thread(flood.stdout.readline) == b"sent\n"
        yield
    finally:
        flood.kill()
        await asyncio.to_thread(flood.communicate)


@pytest.fixture
def small(open_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A bus that keeps less."""
    limit = f'<limit name="max_incoming_bytes">{KEPT}</limit>'
    bus = PrivateBus(open_path, f"<include>{POLICY}</include>{limit}")
    bus.start()
    meet(monkeypatch, bus, place)
    yield Stage(bus, place)
    bus.stop()


def connection_of(service: BusService) -> object:
    assert service._connection is not None
    return service._connection


def test_a_bus_that_pauses_loses_no_message(stage: Stage) -> None:
    """dbus-fast 5.2.0 takes "would block" for the end of its connection."""

    async def play(stage: Stage) -> None:
        before, daemon = connection_of(stage.service), stage.bus._daemon
        assert daemon is not None
        daemon.send_signal(signal.SIGSTOP)
        for _ in range(500):
            stage.service.ukey_inserted("A reader " * 200)  # more than a socket takes
        await asyncio.sleep(0)
        daemon.send_signal(signal.SIGCONT)
        await asyncio.to_thread(linked, "Status")
        assert stage.service._connection is before

    stage.run(play)


def test_who_reads_no_reply_does_not_end_the_service_on_the_bus(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        before = connection_of(stage.service)
        async with deaf(stage):
            for _ in range(5):
                assert await asyncio.to_thread(linked, "Status")
        assert stage.service._connection is before

    stage.run(play)


def test_a_bus_that_takes_no_more_is_left_and_come_back_to(
    small: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client that fills it stays; the next one gets the name that the connection had."""
    monkeypatch.setattr(bus_unsent, "PATIENCE", 1.0)

    async def play(stage: Stage) -> None:
        before = connection_of(stage.service)
        async with deaf(stage):
            await settled(lambda: stage.service._connection not in (before, None), 20)

            await settled_in_thread(lambda: owner() == stage.name)
            assert await asyncio.to_thread(linked, "Status")

    small.run(play)


def owner() -> str:
    here = BusLink(Deadline(5))
    try:
        (name,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
        return str(name)
    except ClientError:  # nobody has it at the moment
        return ""
    finally:
        here.close()


async def settled_in_thread(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def test_while_the_bus_takes_nothing_what_waits_for_it_is_bounded(
    small: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_unsent, "MOST", 8)
    monkeypatch.setattr(bus_unsent, "PATIENCE", 60.0)  # a busy machine keeps the bus waiting too

    async def play(stage: Stage) -> None:
        connection = stage.service._connection
        assert connection is not None
        async with deaf(stage):
            await settled(lambda: connection._unsent.full, 20)
            for _ in range(5):
                await asyncio.sleep(0.05)
                assert len(connection._bus._writer.messages) <= 8  # type: ignore[union-attr]
        await settled(lambda: not connection._unsent.full, 20)
        assert await asyncio.to_thread(linked, "Status")
        assert stage.service._connection is connection

    small.run(play)


def test_only_a_message_that_was_taken_shows_that_the_bus_takes_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_unsent, "PATIENCE", 0.1)

    async def run() -> None:
        loop, stuck = asyncio.get_running_loop(), asyncio.Event()
        unsent = Unsent(stuck.set)
        first, second, third = (loop.create_future() for _ in range(3))
        for each in (first, second, third):
            unsent.add(each)
        begun = loop.time()
        loop.call_later(0.08, first.set_result, None)
        loop.call_later(0.12, unsent.add, loop.create_future())
        await asyncio.wait_for(stuck.wait(), 5)
        assert loop.time() - begun > 0.17
        second.set_exception(OSError())  # nobody can see it any more
        stuck.clear()
        unsent.close()
        third.set_result(None)
        await asyncio.sleep(0.15)
        assert not stuck.is_set()
        taken = loop.create_future()
        taken.set_result(None)
        unsent.add(taken)
        await asyncio.sleep(0.15)
        assert not stuck.is_set()

    asyncio.run(run())
