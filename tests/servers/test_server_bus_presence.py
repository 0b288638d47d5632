# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The bus comes and goes, others want its name, and clients see whom they talk to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress

from keyservice.client.bus import Bus, Event, EventKind
from keyservice.client.bus_link import BusLink
from keyservice.client.channel import (
    Deadline,
    NotTrusted,
    TimedOut,
    Unreachable,
)
from keyservice.client.session import SocketSession
from keyservice.contract import operations
from keyservice.contract.names import BUS_NAME, INTERFACE, OBJECT_PATH
from keyservice.contract.steps import Info, Step, Verdict
from keyservice.servers import bus as bus_front
from keyservice.servers.bus_service import BusService
from tests.servers.buskit import PrivateBus, ScriptedAdministration, meet, on_bus
from tests.servers.busstage import Stage, hold, linked
from tests.servers.serverkit import ScriptedSessions, as_nobody, settled

SERVICE = DBusAddress(OBJECT_PATH, bus_name=BUS_NAME, interface=INTERFACE)


def test_signals_carry_the_reader_and_come_from_the_service_only(stage: Stage) -> None:
    forged = """
import sys
sys.path.insert(0, sys.argv[1])
from jeepney import DBusAddress, new_signal
from keyservice.client import bus_link
from keyservice.client.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
here = DBusAddress("/org/ukey/KeyService1", interface="org.ukey.KeyService1")
for _ in range(20):
    signal = new_signal(here, "UkeyInserted", "s", ("forged" * 20_000,))
    link._channel.send(signal.serialise(9))
link.drive("GetId")
"""

    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            events = await asyncio.to_thread(client.events, 5)
            someone = as_nobody(forged, str(Path(__file__).parents[2]), stage.bus.address)
            out, _ = await asyncio.to_thread(someone.communicate, b"", 10)
            assert out == b""
            assert await asyncio.to_thread(client.status)
            kept = [each.body for each in client._link._signals]
            assert not any("forged" in str(each) for each in kept)
            stage.service.ukey_inserted("Reader 0")
            stage.service.ukey_removed("Reader 0")
            assert await asyncio.to_thread(next, events) == Event(EventKind.INSERTED, "Reader 0")
            assert await asyncio.to_thread(next, events) == Event(EventKind.REMOVED, "Reader 0")
            with pytest.raises(TimedOut):
                for event in await asyncio.to_thread(client.events, 0.1):
                    pytest.fail(f"{event}")

    stage.run(play)


def test_the_service_comes_back_to_a_bus_that_is_restarted(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            await asyncio.to_thread(client.begin, operations.VERIFY_PIN)
            stage.bus.stop()
            await asyncio.wait_for(stage.sessions.begun[0].dropped.wait(), 5)
            with pytest.raises(Unreachable):
                await asyncio.to_thread(client.status)

        def by_socket() -> Step:
            with SocketSession(timeout=5) as session:
                return next(session.begin(operations.AUTHENTICATION, user="alice"))

        assert await asyncio.to_thread(by_socket) == Info("Hello")
        stage.bus.socket.unlink()
        await asyncio.sleep(0.5)  # no bus for a while
        stage.bus.start()
        await settled(lambda: stage.service._connection is not None)
        assert isinstance((await asyncio.to_thread(hold, b"123456"))[-1], Verdict)

    stage.run(play)


def test_a_watcher_sees_the_service_go_and_come_back(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            events = await asyncio.to_thread(client.events, 5)
            connection = stage.service._connection
            assert connection is not None
            connection._bus.disconnect()
            assert await asyncio.to_thread(next, events) == Event(EventKind.GONE)
            assert await asyncio.to_thread(next, events) == Event(EventKind.BACK)
            await settled(lambda: stage.service._connection is not None)
            stage.service.ukey_inserted("Reader 1")
            assert await asyncio.to_thread(next, events) == Event(EventKind.INSERTED, "Reader 1")

    stage.run(play)


def test_who_else_has_the_name_keeps_it_until_it_leaves(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    second = ScriptedAdministration()

    async def play(first: Stage) -> None:
        holder = await asyncio.to_thread(BusLink, Deadline(5))
        connection = first.service._connection
        assert connection is not None
        async with on_bus(stage.bus, ScriptedSessions(), second) as late:
            assert late._connection is not None
            assert "is owned by uid 0, pid" in caplog.text
            await asyncio.to_thread(linked, "Status")
            assert (len(first.administration.seen), len(second.seen)) == (1, 0)
            taken = [await _owner(holder)]
            await connection._bus.release_name(BUS_NAME)
            async with asyncio.timeout(5):
                while len(taken) < 2:
                    try:
                        taken.append(await _owner(holder))
                    except Unreachable:
                        continue
                    if taken[-1] == taken[0]:
                        taken.pop()
            assert taken[1] == late._connection._bus.unique_name
        holder.close()

    stage.run(play)


async def _owner(link: BusLink) -> str:
    return str((await asyncio.to_thread(link.drive, "GetNameOwner", "s", (BUS_NAME,)))[0])


def test_a_bus_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_front, "_BUS_SECONDS", 0.2)

    async def run() -> None:
        connections: list[asyncio.StreamWriter] = []
        server = await asyncio.start_unix_server(
            lambda reader, writer: connections.append(writer), tmp_path / "bus"
        )
        task = asyncio.create_task(service_at(PrivateBus(tmp_path)).run())
        await settled(lambda: len(connections) >= 3)
        task.cancel()
        await asyncio.wait([task])
        server.close()

    asyncio.run(run())
    assert caplog.text.count("no bus") == 1


def service_at(bus: PrivateBus) -> Any:

    return BusService(
        ScriptedSessions(),  # type: ignore[arg-type]
        ScriptedAdministration(),
        address=bus.address,
    )


def test_a_bus_that_closes_after_auth_is_not_called_in_a_spin(tmp_path: Path) -> None:
    calls = []

    async def close_after_auth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(asyncio.get_running_loop().time())
        await reader.readuntil(b"\r\n")
        writer.write(b"OK 0123456789abcdef0123456789abcdef\r\n")
        await reader.readuntil(b"\r\n")
        writer.close()

    async def run() -> None:
        server = await asyncio.start_unix_server(close_after_auth, tmp_path / "bus")
        task = asyncio.create_task(service_at(PrivateBus(tmp_path)).run())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        server.close()

    asyncio.run(run())
    assert 2 <= len(calls) <= 4


def test_a_service_that_is_not_roots_is_not_trusted(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = PrivateBus(open_path, '<policy context="default"><allow own="*"/></policy>')
    bus.start()
    meet(monkeypatch, bus, open_path)
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from keyservice.client import bus_link
from keyservice.client.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
print(link.drive("RequestName", "su", ("org.ukey.KeyService1", 4)), flush=True)
sys.stdin.read()
"""
    impostor = as_nobody(program, str(Path(__file__).parents[2]), bus.address)
    assert impostor.stdout is not None
    assert impostor.stdout.readline() == b"(1,)\n"
    with pytest.raises(NotTrusted, match="uid 65534"):
        Bus(timeout=5)
    impostor.communicate(b"")
    bus.stop()


def test_nobody_may_own_the_name(bus: PrivateBus) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from keyservice.client import bus_link
from keyservice.client.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
link.drive("RequestName", "su", ("org.ukey.KeyService1", 4))
"""
    someone = as_nobody(program, str(Path(__file__).parents[2]), bus.address)
    out, _ = someone.communicate(b"", 10)
    assert b"org.freedesktop.DBus.Error.AccessDenied" in out


def test_without_a_service_or_a_bus_the_client_says_so(
    bus: PrivateBus, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet(monkeypatch, bus, place)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
    with pytest.raises(Unreachable, match="not on the bus"):
        Bus(timeout=5)
    bus.stop()
    with pytest.raises(Unreachable, match="cannot connect"):
        Bus(timeout=5)
