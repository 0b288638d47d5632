# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The bus front and its client over a real dbus-daemon."""

from __future__ import annotations

import asyncio
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, new_method_call

from keyservice.access import policy
from keyservice.contract.bus import Bus, Event, EventKind
from keyservice.contract.bus_link import BusLink
from keyservice.contract.channel import (
    ClientError,
    Deadline,
    NotTrusted,
    ServiceRefused,
    TimedOut,
    Unreachable,
)
from keyservice.contract.client import SocketSession
from keyservice.contract.names import (
    BUS_NAME,
    INTERFACE,
    OBJECT_PATH,
    Code,
    ErrorName,
    Operation,
    WaitFor,
)
from keyservice.contract.requests import BEGIN_METHODS
from keyservice.contract.steps import Info, Prompt, Step, Verdict, Wait
from keyservice.core.errors import NotEnrolled
from keyservice.front import bus as bus_front
from keyservice.front.bus_methods import METHODS, RIGHTS, Right
from keyservice.front.bus_service import BusService
from tests.front.buskit import PrivateBus, ScriptedQueries, calls_by_nobody, meet, on_bus
from tests.front.frontkit import ScriptedSessions, as_nobody, serving, settled

SERVICE = DBusAddress(OBJECT_PATH, bus_name=BUS_NAME, interface=INTERFACE)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[PrivateBus]:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    made = PrivateBus(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def place(tmp_path: Path, bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> Path:
    meet(monkeypatch, bus, tmp_path / "ukey")
    return tmp_path / "ukey"


class Stage:
    """The service on a bus and on its sockets, and a connection for odd calls."""

    def __init__(self, bus: PrivateBus, place: Path) -> None:
        self.bus, self.place = bus, place
        self.sessions, self.queries = ScriptedSessions(), ScriptedQueries()

    def run(self, play: Callable[[Stage], Awaitable[None]]) -> None:
        async def staged() -> None:
            async with (
                serving(self.place, self.sessions),
                on_bus(self.bus, self.sessions, self.queries) as self.service,
            ):
                await play(self)

        asyncio.run(staged())

    @property
    def name(self) -> str:
        assert self.service._connection is not None
        return str(self.service._connection._bus.unique_name)


@pytest.fixture
def stage(bus: PrivateBus, place: Path) -> Stage:
    return Stage(bus, place)


def hold(answer: bytes, user: str = "alice") -> list[Step]:
    steps = []
    with Bus(timeout=5) as client:
        for step in client.begin(Operation.AUTHENTICATION, user=user, service="login"):
            steps.append(step)
            if isinstance(step, Prompt):
                client.answer(bytearray(answer))
    return steps


def refused(member: str, signature: str | None = None, body: Any = ()) -> ErrorName:
    """The name of the error that a call by root is refused with."""
    with pytest.raises(ServiceRefused) as caught:
        linked(member, signature, body)
    return caught.value.name


def linked(member: str, signature: str | None = None, body: Any = ()) -> Any:
    """The reply to a call on a connection of its own."""
    here = BusLink(Deadline(5))
    try:
        return here.call(_service(here), member, signature, body)
    finally:
        here.close()


def _service(here: BusLink) -> DBusAddress:
    (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
    return DBusAddress(OBJECT_PATH, bus_name=owner, interface=INTERFACE)


# -- sessions


def test_a_login_over_the_bus_has_its_answer_past_it(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(hold, b"123456") == [
            Info("Hello"),
            Wait("Insert your ukey", WaitFor.UKEY),
            Prompt("PIN: ", False),
            Verdict(Code.SUCCESS, detail={"serial": "SN1", "left": 3, "fresh": True}),
        ]
        session = stage.sessions.begun[0]
        assert session.answers == [b"123456"]
        assert session.caller.source.startswith(":")
        assert (session.caller.uid, session.caller.ruid) == (0, 0)
        assert session.owner.key == session.caller.source
        assert (session.request.user, session.request.timeout) == ("alice", 5)
        assert (await asyncio.to_thread(hold, b"0000000"))[-1] == Verdict(
            Code.AUTH_ERR, "Wrong PIN", ErrorName.PIN_WRONG, {"left": 2}
        )

    stage.run(play)


def test_no_answer_is_seen_on_the_bus(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        monitor = subprocess.Popen(
            ["dbus-monitor", "--pcap", "--address", stage.bus.address], stdout=subprocess.PIPE
        )
        assert monitor.stdout is not None
        pipe = monitor.stdout.fileno()
        seen = await asyncio.to_thread(os.read, pipe, 65536)  # the file's head: it listens now
        await asyncio.to_thread(hold, b"canary-pin", user="canary-user")
        async with asyncio.timeout(5):
            while b"Wrong PIN" not in seen:
                seen += await asyncio.to_thread(os.read, pipe, 65536)
        monitor.kill()
        monitor.communicate()
        assert stage.sessions.begun[0].answers == [b"canary-pin"]
        assert b"canary-user" in seen
        assert b"canary-pin" not in seen

    stage.run(play)


def test_a_session_belongs_to_the_connection_that_began_it(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        mine = await asyncio.to_thread(BusLink, Deadline(5))
        body = ("alice", "login", "", "", "", 0, 5)
        call = (_service(mine), "BeginAuthentication", "sssssuu", body)
        number, kind, text, detail = await asyncio.to_thread(mine.call, *call)
        assert (kind, text, detail) == ("info", "Hello", {})
        assert number == stage.sessions.begun[0].id.hex()
        for member in ("Continue", "Cancel"):
            name = await asyncio.to_thread(refused, member, "s", (number,))
            assert name is ErrorName.NO_SESSION
            assert await asyncio.to_thread(refused, member, "s", ("0" * 32,)) is name
            for wrong in ("", "xyz", number[:-2], number + "00", "é" * 16):
                name = await asyncio.to_thread(refused, member, "s", (wrong,))
                assert name is ErrorName.BAD_REQUEST
        stolen = await calls_by_nobody(
            stage.bus, stage.name, [("Continue", "s", [number]), ("Cancel", "s", [number])]
        )
        assert stolen == ["NoSession", "NoSession"]
        assert stage.sessions.open == 1
        mine.close()
        await asyncio.wait_for(stage.sessions.begun[0].dropped.wait(), 5)
        assert stage.sessions.open == 0

    stage.run(play)


def test_a_caller_that_is_killed_loses_its_session(stage: Stage) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from jeepney import DBusAddress
from keyservice.contract import bus_link
from keyservice.contract.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[3], interface="org.ukey.KeyService1")
print(link.call(here, "BeginVerifyPin", "ssssuu", ("", "", "", "", 0, 0))[1], flush=True)
sys.stdin.read()
"""

    async def play(stage: Stage) -> None:
        checkout = str(Path(__file__).parents[2])
        someone = as_nobody(program, checkout, stage.bus.address, stage.name)
        assert someone.stdout is not None
        assert await asyncio.to_thread(someone.stdout.readline) == b"info\n"
        session = stage.sessions.begun[0]
        assert (session.caller.uid, session.caller.ruid) == (65534, 65534)
        assert session.caller.pid == someone.pid
        someone.kill()
        await asyncio.wait_for(session.dropped.wait(), 5)
        someone.communicate()

    stage.run(play)


def test_only_one_continue_waits_at_a_time(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            steps = await asyncio.to_thread(client.begin, Operation.VERIFY_PIN)
            for _ in range(3):
                step = await asyncio.to_thread(next, steps)
            assert isinstance(step, Prompt)
            waiting = asyncio.create_task(asyncio.to_thread(next, steps))
            await settled(lambda: stage.sessions.begun[0].waiting == 4)
            # the same connection cannot call twice with the blocking client: ask the front
            connection = stage.service._connection
            assert connection is not None
            (sender,) = connection._guests._guests
            with pytest.raises(Exception, match="on its way"):
                await connection._guests.proceed(sender, stage.sessions.begun[0].id.hex())
            await asyncio.to_thread(client.answer, bytearray(b"123456"))
            assert isinstance(await waiting, Verdict)
            assert connection._guests._guests == {}

    stage.run(play)


def test_cancel_brings_the_verdict(stage: Stage) -> None:
    def play_out() -> list[Step]:
        steps = []
        with Bus(timeout=5) as client:
            for step in client.begin(Operation.VERIFY_PIN):
                steps.append(step)
                if isinstance(step, Prompt):
                    client.cancel()
        return steps

    async def play(stage: Stage) -> None:
        steps = await asyncio.to_thread(play_out)
        assert steps[-1] == Verdict(Code.CONV_ERR, "Cancelled", ErrorName.CANCELLED)

    stage.run(play)


def test_a_refused_answer_leaves_the_session(stage: Stage) -> None:
    def play_out() -> Step:
        with Bus(timeout=5) as client:
            steps = client.begin(Operation.VERIFY_PIN)
            for step in steps:
                if isinstance(step, Prompt):
                    break
            long = bytearray(b"x" * 4096)
            with pytest.raises(ServiceRefused) as caught:
                client.answer(long)
            assert caught.value.name is ErrorName.BAD_REQUEST
            assert long == bytes(4096)
            with pytest.raises(ClientError, match="nothing was asked"):
                client.answer(bytearray(b"123456"))
            client.cancel()
            return list(steps)[-1]

    async def play(stage: Stage) -> None:
        verdict = await asyncio.to_thread(play_out)
        assert isinstance(verdict, Verdict)

    stage.run(play)


# -- rights


def test_each_method_has_its_right(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        (xml,) = await asyncio.to_thread(_introspected, OBJECT_PATH)
        (ours,) = (each for each in ET.fromstring(xml) if each.get("name") == INTERFACE)
        methods = {
            method.get("name"): "".join(
                argument.get("type", "") for argument in method if argument.get("direction") == "in"
            )
            for method in ours.iter("method")
        }
        assert methods == {name: method.signature for name, method in METHODS.items()}
        assert methods.keys() == RIGHTS.keys()
        assert {each.get("name") for each in ours.iter("signal")} == {
            "UkeyInserted",
            "UkeyRemoved",
        }
        connection = stage.service._connection
        assert connection is not None
        assert connection._handlers.keys() == RIGHTS.keys()
        values = {"s": "alice", "u": 0, "ay": "0123"}
        closed = [name for name, right in RIGHTS.items() if right is Right.ROOT]
        calls = [
            (
                name,
                METHODS[name].signature,
                [values[each.signature] for each in METHODS[name].takes],
            )
            for name in closed
        ]
        names = await calls_by_nobody(stage.bus, stage.name, calls)
        assert names == ["NotAllowed"] * len(closed)
        assert stage.queries.seen == []
        assert stage.sessions.begun == []

    stage.run(play)


def test_rights_to_begin_are_those_of_the_policy() -> None:
    own = {BEGIN_METHODS[operation] for operation in policy.OWN}
    for operation in Operation:
        name = BEGIN_METHODS[operation]
        assert RIGHTS[name] is (Right.ANYONE if name in own else Right.ROOT)


def test_a_method_without_a_right_is_denied(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    rights = {name: right for name, right in RIGHTS.items() if name != "Status"}
    monkeypatch.setattr(bus_front, "RIGHTS", rights)

    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(refused, "Status") is ErrorName.NOT_ALLOWED
        assert stage.queries.seen == []

    stage.run(play)


def test_questions_are_put_with_their_caller(stage: Stage) -> None:
    def ask() -> None:
        with Bus(timeout=5) as client:
            assert client.list_ukeys() == [{"reader": "Reader 0", "mine": True, "left": 3}]
            assert client.list_bindings() == []
            assert client.list_revocations() == [{"key": "00" * 32}]
            client.unrevoke("ab" * 32)
            client.reset_throttle("SN1")
            assert client.verify_challenge("alice", bytes(32), bytes(64))
            assert client.status() == {"version": "1", "readers": 2, "shared_pcsc": False}

    async def play(stage: Stage) -> None:
        await asyncio.to_thread(ask)
        assert stage.queries.seen == [
            ("list_ukeys", 0, ()),
            ("list_bindings", 0, ()),
            ("list_revocations", 0, ()),
            ("unrevoke", 0, ("ab" * 32,)),
            ("reset_throttle", 0, ("SN1",)),
            ("verify_challenge", 0, ("alice", bytes(32), bytes(64))),
            ("status", 0, ()),
        ]
        names = await calls_by_nobody(stage.bus, stage.name, [("Status", "", [])])
        assert names[0][0]["readers"] == ["x", 2]
        assert stage.queries.seen[-1] == ("status", 65534, ())

    stage.run(play)


# -- errors and bounds


def test_errors_have_names_and_nothing_from_below(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.queries.failure = NotEnrolled(user="alice")
        assert await asyncio.to_thread(refused, "Status") is ErrorName.NOT_ENROLLED
        stage.queries.failure = RuntimeError("secret detail")
        with pytest.raises(ServiceRefused) as caught:
            await asyncio.to_thread(linked, "Status")
        assert caught.value.name is ErrorName.FAILED
        assert "secret" not in caught.value.text
        assert "RuntimeError" not in caught.value.text

    stage.run(play)


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("BeginAuthentication", "sssssuu", ("a" * 257, "", "", "", "", 0, 0)),
        ("BeginAuthentication", "sssssuu", ("é" * 129, "", "", "", "", 0, 0)),
        ("BeginAuthentication", "sssssuu", ("a", "", "", "", "", 0x80, 0)),
        ("BeginAuthentication", "sssssuu", ("a", "", "", "", "", 0, 301)),
        ("BeginBind", "ssssssuu", ("a", "é" * 33, "", "", "", "", 0, 0)),
        ("Unrevoke", "s", ("a" * 65,)),
        ("ResetThrottle", "s", ("a" * 65,)),
        ("VerifyChallenge", "sayay", ("alice", bytes(65), bytes(64))),
        ("VerifyChallenge", "sayay", ("alice", bytes(64), bytes(65))),
        ("VerifyChallenge", "sayay", ("a" * 257, bytes(64), bytes(64))),
        ("Continue", "s", ("0" * 33,)),
    ],
)
def test_arguments_are_bounded(
    stage: Stage, member: str, signature: str, body: tuple[object, ...]
) -> None:
    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(refused, member, signature, body) is ErrorName.BAD_REQUEST
        assert stage.queries.seen == []
        assert stage.sessions.begun == []

    stage.run(play)


def test_what_is_not_there_is_unknown(stage: Stage) -> None:
    def call(path: str, interface: str, member: str, signature: str = "", body: Any = ()) -> str:
        here = BusLink(Deadline(5))
        try:
            (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
            address = DBusAddress(path, bus_name=owner, interface=interface)
            with pytest.raises(ClientError) as caught:
                here.call(address, member, signature or None, body)
            return str(caught.value)
        finally:
            here.close()

    async def play(stage: Stage) -> None:
        for arguments, error in (
            ((OBJECT_PATH, INTERFACE, "Sign"), "UnknownMethod"),
            ((OBJECT_PATH, INTERFACE, "Continue"), "InvalidArgs"),
            ((OBJECT_PATH, INTERFACE, "Status", "s", ("x",)), "InvalidArgs"),
            ((OBJECT_PATH, INTERFACE, "Status", "at", ([1, 2],)), "InvalidArgs"),
            (("/other", INTERFACE, "Status"), "UnknownObject"),
            (("/other", "org.freedesktop.DBus.Introspectable", "Introspect"), "UnknownObject"),
        ):
            said = await asyncio.to_thread(call, *arguments)
            assert said == f"the bus said org.freedesktop.DBus.Error.{error}"
        (xml,) = await asyncio.to_thread(_introspected, "/org")
        assert '<node name="ukey"/>' in xml
        assert stage.queries.seen == []

    stage.run(play)


def _introspected(path: str) -> Any:
    here = BusLink(Deadline(5))
    try:
        (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
        address = DBusAddress(path, bus_name=owner, interface="org.freedesktop.DBus.Introspectable")
        return here.call(address, "Introspect")
    finally:
        here.close()


def test_waiting_calls_of_one_connection_are_bounded(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.queries.hold = asyncio.Event()
        here = await asyncio.to_thread(BusLink, Deadline(5))
        service = _service(here)
        for serial in range(100, 120):
            here._channel.send(new_method_call(service, "Status").serialise(serial))
        reply = await asyncio.to_thread(here._next, lambda heard: True)
        assert reply.header.fields[4] == "org.ukey.KeyService1.Error.Busy"
        await settled(lambda: len(stage.queries.seen) == 16)
        stage.queries.hold.set()
        here.close()

    stage.run(play)


# -- signals


def test_signals_carry_the_reader_and_come_from_the_service_only(stage: Stage) -> None:
    forged = """
import sys
sys.path.insert(0, sys.argv[1])
from jeepney import DBusAddress, new_signal
from keyservice.contract import bus_link
from keyservice.contract.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
here = DBusAddress("/org/ukey/KeyService1", interface="org.ukey.KeyService1")
link._channel.send(new_signal(here, "UkeyInserted", "s", ("forged",)).serialise(9))
link.drive("GetId")
"""

    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            events = await asyncio.to_thread(client.events, 5)
            someone = as_nobody(forged, str(Path(__file__).parents[2]), stage.bus.address)
            out, _ = await asyncio.to_thread(someone.communicate, b"", 10)
            assert out == b""
            stage.service.ukey_inserted("Reader 0")
            stage.service.ukey_removed("Reader 0")
            assert await asyncio.to_thread(next, events) == Event(EventKind.INSERTED, "Reader 0")
            assert await asyncio.to_thread(next, events) == Event(EventKind.REMOVED, "Reader 0")
            for event in await asyncio.to_thread(client.events, 0.1):
                pytest.fail(f"{event}")

    with pytest.raises(TimedOut):
        stage.run(play)


# -- the bus comes and goes


def test_the_service_comes_back_to_a_bus_that_is_restarted(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            await asyncio.to_thread(client.begin, Operation.VERIFY_PIN)
            stage.bus.stop()
            await asyncio.wait_for(stage.sessions.begun[0].dropped.wait(), 5)
            with pytest.raises(Unreachable):
                await asyncio.to_thread(client.status)

        def by_socket() -> Step:
            with SocketSession(timeout=5) as session:
                return next(session.begin(Operation.AUTHENTICATION, user="alice"))

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
            stage.service.ukey_inserted("Reader 1")
            assert await asyncio.to_thread(next, events) == Event(EventKind.INSERTED, "Reader 1")

    stage.run(play)


def test_who_else_has_the_name_keeps_it_until_it_leaves(
    bus: PrivateBus, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Stage(bus, place), ScriptedQueries()

    async def play(first: Stage) -> None:
        holder = await asyncio.to_thread(BusLink, Deadline(5))
        connection = first.service._connection
        assert connection is not None
        async with on_bus(bus, ScriptedSessions(), second) as late:
            assert late._connection is not None
            assert "is owned by uid 0, pid" in caplog.text
            await asyncio.to_thread(linked, "Status")
            assert (len(first.queries.seen), len(second.seen)) == (1, 0)
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

    first.run(play)


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
        ScriptedQueries(),
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


# -- the client


def test_a_service_that_is_not_roots_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    policy = '<policy context="default"><allow own="*"/></policy>'
    bus = PrivateBus(tmp_path, policy)
    bus.start()
    meet(monkeypatch, bus, tmp_path)
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from keyservice.contract import bus_link
from keyservice.contract.channel import Deadline
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
from keyservice.contract import bus_link
from keyservice.contract.channel import Deadline
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
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
    with pytest.raises(Unreachable, match="not on the bus"):
        Bus(timeout=5)
    bus.stop()
    with pytest.raises(Unreachable, match="cannot connect"):
        Bus(timeout=5)
