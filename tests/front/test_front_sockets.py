# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The sockets' front against honest and hostile clients, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access.session import Owner
from keyservice.contract import frames
from keyservice.contract.client import ServiceRefused, SocketSession
from keyservice.contract.names import Code, ErrorName, Flag, Operation, WaitFor
from keyservice.contract.requests import build_begin
from keyservice.contract.steps import Info, Prompt, Step, Verdict, Wait
from keyservice.core.errors import Busy, ConfigurationError
from keyservice.core.secret import Secret
from keyservice.front import listeners
from keyservice.front.connection import Patience
from keyservice.front.sockets import Limits
from tests.front.frontkit import (
    NOBODY,
    ScriptedSession,
    ScriptedSessions,
    as_nobody,
    dial,
    receive,
    receive_exactly,
    receive_frame,
    serving,
    settled,
)

BEGIN = bytes(build_begin(Operation.AUTHENTICATION, {"user": "alice", "service": "su"}))
HURRIED = Patience(first_frame=0.2, frame=0.2, unread=0.2)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    yield tmp_path / "ukey"


def hold(path: Path, answer: bytes) -> list[Step]:
    """A login with the real client, blocking."""
    steps = []
    with SocketSession(timeout=5, path=str(path)) as session:
        for step in session.begin(Operation.AUTHENTICATION, user="alice", service="su"):
            steps.append(step)
            if isinstance(step, Prompt):
                session.answer(bytearray(answer))
    return steps


def refusal(data: bytes) -> tuple[ErrorName, str]:
    """(name, text) from exactly one REFUSED frame."""
    kind, length = frames.parse_header(data[:4])
    assert (kind, len(data)) == (frames.Kind.REFUSED, 4 + length)
    return frames.parse_refused(bytearray(data[4:]))


def test_a_login_is_steps_answer_verdict(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            for name, source in (("root.sock", "root.sock"), ("user.sock", "user.sock")):
                steps = await asyncio.to_thread(hold, place / name, b"123456")
                assert steps == [
                    Info("Hello"),
                    Wait("Insert your ukey", WaitFor.UKEY),
                    Prompt("PIN: ", False),
                    Verdict(Code.SUCCESS, detail={"serial": "SN1", "left": 3, "fresh": True}),
                ]
                session = sessions.begun[-1]
                assert session.answers == [b"123456"]
                assert (session.request.user, session.request.service) == ("alice", "su")
                assert (session.request.flags, session.request.timeout) == (Flag(0), 5)
                assert session.caller.source == source
                assert (session.caller.uid, session.caller.ruid) == (0, 0)
                assert session.caller.pid == os.getpid()
            await settled(lambda: sessions.open == 0)
            wrong = await asyncio.to_thread(hold, place / "root.sock", b"654321")
            assert wrong[-1] == Verdict(
                Code.AUTH_ERR, "Wrong PIN", ErrorName.PIN_WRONG, {"left": 2}
            )

    asyncio.run(run())


def test_the_sockets_have_their_modes_and_leave_nothing(place: Path) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            assert stat.S_IMODE(place.stat().st_mode) == 0o755
            assert stat.S_IMODE((place / "root.sock").stat().st_mode) == 0o600
            assert stat.S_IMODE((place / "user.sock").stat().st_mode) == 0o666
            assert sorted(each.name for each in place.iterdir()) == ["root.sock", "user.sock"]
            with pytest.raises(ConfigurationError, match="another keyservice"):
                listeners.create(place)
        assert list(place.iterdir()) == []

    asyncio.run(run())


def test_sockets_left_by_a_crash_are_replaced(place: Path) -> None:
    place.mkdir()
    for name in ("root.sock", "user.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(place / name))
    made = listeners.create(place)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "root.sock"))
    made.close()


def test_a_directory_that_others_may_write_is_refused(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(ConfigurationError, match="others"):
        listeners.create(place)


def test_sockets_are_taken_over_by_name(place: Path) -> None:
    program = """
import os, sys
from keyservice.front.listeners import take_over
found = take_over(os.environ)
print(os.path.basename(found.root.getsockname()), os.path.basename(found.user.getsockname()))
print(sorted(name for name in os.environ if name.startswith("LISTEN")))
"""
    made = listeners.create(place)
    for order, names in (
        ((made.user, made.root), "user:root"),
        ((made.root, made.user), "root:user"),
    ):
        first, second = (os.dup(each.fileno()) for each in order)

        def prepare(first: int = first, second: int = second) -> None:
            os.dup2(first, 3)
            os.dup2(second, 4)

        wrapped = "import os; os.environ['LISTEN_PID'] = str(os.getpid())\n" + program
        done = subprocess.run(
            [sys.executable, "-c", wrapped],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": names},
            preexec_fn=prepare,
            close_fds=False,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.stdout == "root.sock user.sock\n[]\n", done.stderr
        os.close(first)
        os.close(second)
    made.close()


def test_other_descriptors_are_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "root:other"}
    with pytest.raises(ConfigurationError, match="root and user"):
        listeners.take_over(mine)
    assert mine == {}
    assert listeners.take_over({"LISTEN_PID": "1", "LISTEN_FDS": "2"}) is None
    assert listeners.take_over({}) is None


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"\x02\x01\x00\x00", "version 2"),
        (b"\x01\x01\xff\xff", "over 4096"),
        (b"\x01\x01\x10\x01", "over 4096"),
        (b"\x01\x77\x00\x00", "kind 0x77"),
        (b"\x01\x81\x00\x00", "kind 0x81"),
        (b"\x01\x11\x00\x00", "kind 0x11"),
        (b"\x01\x01\x00\x02\x01\x00", "cut off"),
        (b"\x01\x01\x00\x04\x01\x00\x02a", "cut off"),
        (b"\x01\x01\x00\x08\x01\x00\x01a\x01\x00\x01b", "twice"),
        (b"\x01\x01\x00\x04\x01\x00\x01\xff", "UTF-8"),
        (b"\x01\x01\x00\x04\x06\x00\x01\x01", "1 bytes, not 2"),
        (b"\x01\x01\x00\x05\x06\x00\x02\x80\x00", "flags"),
        (b"\x01\x01\x00\x05\x07\x00\x02\x01\x2d", "timeout"),
        (b"\x01\x01\x00\x04\x08\x00\x01a", "takes no serial"),
        (b"\x01\x01\x01\x04\x01\x01\x01" + b"a" * 257, "256 bytes"),
        (b"\x01\x10\x00\x03\x11\x00\x00", "16 bytes"),
        (b"\x01\x10\x00\x13\x10\x00\x10" + bytes(16), "without an answer"),
    ],
)
def test_a_malformed_request_is_refused_by_name(place: Path, sent: bytes, why: str) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(sent)
            name, text = refusal(await receive(client))
            assert name is ErrorName.BAD_REQUEST
            assert why in text
            assert sessions.begun == []

    asyncio.run(run())


def test_a_refusal_to_begin_has_its_name(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            sessions.refuse = Busy()
            with pytest.raises(ServiceRefused) as caught:
                await asyncio.to_thread(hold, place / "root.sock", b"")
            assert caught.value.name is ErrorName.BUSY
            sessions.refuse = RuntimeError("secret detail")
            with pytest.raises(ServiceRefused) as caught:
                await asyncio.to_thread(hold, place / "root.sock", b"")
            assert caught.value.name is ErrorName.FAILED
            assert "secret" not in caught.value.text

    asyncio.run(run())


def test_frames_may_come_byte_by_byte(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            for byte in BEGIN:
                client.send(bytes([byte]))
                await asyncio.sleep(0)
            kind, body = await receive_frame(client)
            assert kind == frames.Kind.STEP
            assert frames.parse_step(body) == (sessions.begun[0].id, Info("Hello"))

    asyncio.run(run())


def test_an_early_answer_is_refused_and_the_session_ends(place: Path) -> None:
    async def never(session: ScriptedSession) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        sessions = ScriptedSessions(never)
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            await settled(lambda: sessions.open == 1)
            client.send(frames.build_answer(sessions.begun[0].id, b"123456"))
            assert refusal(await receive(client))[0] is ErrorName.BAD_REQUEST
            assert sessions.begun[0].dropped.is_set()

    asyncio.run(run())


@pytest.mark.parametrize("length", [257, 4000, 4073])
def test_an_answer_of_more_than_256_bytes_is_refused(place: Path, length: int) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            for _ in range(3):
                await receive_frame(client)
            tags = (frames.Tag.SESSION, frames.Tag.ANSWER)
            fields = dict(zip(map(int, tags), (sessions.begun[0].id, bytes(length)), strict=True))
            client.send(frames.build(frames.Kind.ANSWER, fields))
            assert refusal(await receive(client)) == (
                ErrorName.BAD_REQUEST,
                "an answer has at most 256 bytes",
            )
            assert sessions.begun[0].answers == []
            assert sessions.begun[0].dropped.is_set()

    asyncio.run(run())


def test_an_answer_of_256_bytes_arrives(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            await asyncio.to_thread(hold, place / "root.sock", b"x" * 256)
            assert sessions.begun[0].answers == [b"x" * 256]

    asyncio.run(run())


def test_a_connection_answers_its_own_session_only(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            mine, other = await dial(place / "root.sock"), await dial(place / "root.sock")
            for client in (mine, other):
                client.send(BEGIN)
                for _ in range(3):
                    await receive_frame(client)
            mine.send(frames.build_answer(sessions.begun[1].id, b"123456"))
            assert refusal(await receive(mine))[0] is ErrorName.BAD_REQUEST
            fresh = await dial(place / "root.sock")
            fresh.send(frames.build_answer(sessions.begun[1].id, b"123456"))
            assert refusal(await receive(fresh))[0] is ErrorName.NO_SESSION
            assert sessions.begun[1].answers == []
            assert not sessions.begun[1].dropped.is_set()

    asyncio.run(run())


def test_a_session_of_the_bus_is_answered_by_its_own_uid_only(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            await asyncio.to_thread(hold, place / "root.sock", b"123456")
            caller, request = sessions.begun[0].caller, sessions.begun[0].request
            session = sessions.begin(Owner(0, ":1.7"), caller, request)
            for _ in range(3):
                await session.next_step()
            answer = bytes(frames.build_answer(session.id, b"123456"))
            program = (
                "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                "s.sendall(sys.stdin.buffer.read()); sys.stdout.buffer.write(s.recv(9999))"
            )
            stranger = as_nobody(program, str(place / "user.sock"))
            out, _ = await asyncio.to_thread(stranger.communicate, answer, 10)
            assert refusal(out)[0] is ErrorName.NO_SESSION
            guess = await dial(place / "root.sock")
            guess.send(frames.build_answer(bytes(16), b"123456"))
            assert refusal(await receive(guess)) == refusal(out)
            assert session.answers == []
            own = await dial(place / "root.sock")
            own.send(answer)
            accepted = frames.build(frames.Kind.ACCEPTED, {frames.Tag.SESSION: session.id})
            assert await receive(own) == accepted
            assert session.answers == [b"123456"]
            late = await dial(place / "root.sock")
            late.send(answer)
            assert refusal(await receive(late))[0] is ErrorName.BAD_REQUEST

    asyncio.run(run())


def test_end_of_input_ends_the_session(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            await receive_frame(client)
            client.shutdown(socket.SHUT_WR)
            await asyncio.wait_for(sessions.begun[0].dropped.wait(), 5)
            killed = await dial(place / "root.sock")
            killed.send(BEGIN)
            await receive_frame(killed)
            linger = struct.pack("ii", 1, 0)
            killed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            killed.close()
            await asyncio.wait_for(sessions.begun[1].dropped.wait(), 5)

    asyncio.run(run())


def test_cancel_brings_the_verdict(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            for _ in range(3):
                await receive_frame(client)
            number = sessions.begun[0].id
            client.send(frames.build(frames.Kind.CANCEL, {frames.Tag.SESSION: number}))
            _kind, body = await receive_frame(client)
            assert frames.parse_step(body)[1] == Verdict(
                Code.CONV_ERR, "Cancelled", ErrorName.CANCELLED
            )
            assert await receive(client) == b""

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"\x01", BEGIN[:-1], BEGIN[:4]])
def test_who_does_not_finish_a_request_is_closed(place: Path, sent: bytes) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions(), patience=HURRIED):
            client = await dial(place / "root.sock")
            client.send(sent)
            assert await receive(client, 2) == b""

    asyncio.run(run())


def test_half_a_frame_within_a_session_ends_it_however_it_trickles(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions, patience=HURRIED):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            for _ in range(3):
                await receive_frame(client)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for byte in frames.build_answer(sessions.begun[0].id, b"123456"):
                    client.send(bytes([byte]))
                    await asyncio.sleep(0.05)
            assert sessions.begun[0].dropped.is_set()

    asyncio.run(run())


def test_who_does_not_read_is_bounded_and_closed(place: Path) -> None:
    async def talk(session: ScriptedSession) -> None:
        for _ in range(20_000):
            session.put(Info("x" * 1024))

    async def run() -> None:
        sessions = ScriptedSessions(talk)
        patience = Patience(unread=0.3)
        async with serving(place, sessions, patience=patience):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            await settled(lambda: sessions.open == 1)
            await asyncio.wait_for(sessions.begun[0].dropped.wait(), 5)
            # the kernel's socket buffer, not the twenty megabytes
            assert sessions.begun[0].waiting < 2_000

    asyncio.run(run())


def test_who_reads_slowly_gets_everything(place: Path) -> None:
    async def talk(session: ScriptedSession) -> None:
        for _ in range(2_000):
            session.put(Info("x" * 1024))
        session.put(Verdict(Code.SUCCESS))

    async def run() -> None:
        async with serving(place, ScriptedSessions(talk)):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            count, kinds = 0, set()
            while True:
                kind, body = await receive_frame(client)
                kinds.add(kind)
                step = frames.parse_step(body)[1]
                if isinstance(step, Verdict):
                    break
                count += 1
                await asyncio.sleep(0)
            assert (count, kinds) == (2_000, {frames.Kind.STEP})
            assert await receive(client) == b""

    asyncio.run(run())


def test_answers_are_wiped_from_the_buffer(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions) as front:
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            for _ in range(3):
                await receive_frame(client)
            (connection,) = front._gates[0]._connections
            client.send(frames.build_answer(sessions.begun[0].id, b"canary12")[:-3])
            await settled(lambda: b"canar" in connection._in)  # it is seen where it lies
            client.send(b"y12")
            await receive_frame(client)
            assert not any(connection._in)

    asyncio.run(run())


def test_an_answer_that_is_not_taken_is_wiped(place: Path) -> None:
    kept: list[Secret] = []

    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            for _ in range(3):
                await receive_frame(client)
            session = sessions.begun[0]

            def refuse(answer: Secret) -> None:
                kept.append(answer)
                raise Busy

            session.answer = refuse  # type: ignore[method-assign]
            client.send(frames.build_answer(session.id, b"123456"))
            assert refusal(await receive(client))[0] is ErrorName.BUSY
            with kept[0].view() as view:
                assert bytes(view) == bytes(6)

    asyncio.run(run())


# -- floods

_HOLD = """
import socket, sys
held = []
closed = 0
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); held.append(s)
for s in held:
    s.settimeout(0.1)
    try:
        closed += s.recv(1) == b""
    except TimeoutError:
        pass
print(closed, flush=True)
sys.stdin.read()
"""


def test_the_ninth_connection_of_a_uid_is_closed_at_accept(place: Path) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            flood = as_nobody(_HOLD, str(place / "user.sock"), "12")
            assert flood.stdout is not None
            assert await asyncio.to_thread(flood.stdout.readline) == b"4\n"
            steps = await asyncio.to_thread(hold, place / "user.sock", b"123456")
            assert isinstance(steps[-1], Verdict)  # root has its own eight
            await asyncio.to_thread(flood.communicate, b"", 5)
            await asyncio.sleep(0.05)
            again = as_nobody(_HOLD, str(place / "user.sock"), "8")
            assert again.stdout is not None
            assert await asyncio.to_thread(again.stdout.readline) == b"0\n"
            await asyncio.to_thread(again.communicate, b"", 5)

    asyncio.run(run())


def test_at_the_limit_of_all_users_the_oldest_idle_connection_makes_room(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        limits = Limits(users=3, per_uid=9)
        async with serving(place, sessions, limits):
            busy, idle, third = [await dial(place / "user.sock") for _ in range(3)]
            busy.send(BEGIN)
            await receive_frame(busy)
            newest = await dial(place / "user.sock")
            assert await receive(idle) == b""
            for client in (third, newest):
                client.send(BEGIN)
                await receive_frame(client)
            surplus = await dial(place / "user.sock")
            assert await receive(surplus) == b""
            assert sessions.open == 3

    asyncio.run(run())


def test_root_sock_takes_root_only_even_if_its_mode_is_changed(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            (place / "root.sock").chmod(0o666)
            stranger = as_nobody(_HOLD, str(place / "root.sock"), "1")
            out, _ = await asyncio.to_thread(stranger.communicate, b"", 10)
            assert out == b"1\n"

    asyncio.run(run())


def test_the_caller_is_told_as_the_kernel_sees_it(place: Path) -> None:
    program = (
        "import socket,sys,os; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(sys.stdin.buffer.read()); s.recv(1); print(os.getpid())"
    )

    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            someone = as_nobody(program, str(place / "user.sock"))
            out, _ = await asyncio.to_thread(someone.communicate, BEGIN, 10)
            caller = sessions.begun[0].caller
            assert (caller.uid, caller.ruid, caller.pid) == (NOBODY, NOBODY, int(out))
            assert caller.source == "user.sock"
            assert sessions.begun[0].owner.uid == NOBODY

    asyncio.run(run())


async def _round_trip(path: Path) -> float:
    """Seconds from connect to the verdict."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    client = await dial(path)
    client.send(BEGIN)
    _kind, body = await receive_frame(client)
    number = frames.parse_step(body)[0]
    for _ in range(2):
        await receive_frame(client)
    client.send(frames.build_answer(number, b"123456"))
    await receive_frame(client)
    client.close()
    return loop.time() - start


def test_a_flood_does_not_stop_a_login(place: Path, record_property: object) -> None:
    flood = """
import socket, sys
while True:
    held = []
    for _ in range(64):
        s = socket.socket(socket.AF_UNIX); s.setblocking(False)
        try:
            s.connect(sys.argv[1]); s.send(b"\\x01\\x01\\x0f\\xffhalf a frame"); held.append(s)
        except OSError:
            pass
"""

    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            await _round_trip(place / "root.sock")
            quiet = sorted([await _round_trip(place / "root.sock") for _ in range(40)])
            flooders = [as_nobody(flood, str(place / "user.sock")) for _ in range(3)]
            await asyncio.sleep(0.5)
            beside = sorted([await _round_trip(place / "root.sock") for _ in range(40)])
            for each in flooders:
                each.kill()
                each.wait()
            for name, times in (("quiet", quiet), ("beside a flood", beside)):
                print(
                    f"login over root.sock {name}: median {times[20] * 1e3:.2f} ms,"
                    f" worst {times[-1] * 1e3:.2f} ms"
                )
            assert beside[-1] < 5, "a login beside a flood must end at all"

    asyncio.run(run())


def test_exact_bytes_of_a_login(place: Path) -> None:
    async def ask(session: ScriptedSession) -> None:
        session.id = bytes(range(16))
        await session.ask("PIN: ")
        session.put(Verdict(Code.SUCCESS))

    async def run() -> None:
        async with serving(place, ScriptedSessions(ask)):
            client = await dial(place / "root.sock")
            client.send(bytes.fromhex("01 01 0008 01 0005") + b"alice")
            prompt = bytes.fromhex("01 81 0023 10 0010") + bytes(range(16))
            prompt += bytes.fromhex("21 0005") + b"PIN: " + bytes.fromhex("22 0001 00 20 0001 03")
            assert await receive_exactly(client, len(prompt)) == prompt
            client.send(
                bytes.fromhex("01 10 001c 10 0010")
                + bytes(range(16))
                + bytes.fromhex("11 0006")
                + b"123456"
            )
            verdict = bytes.fromhex("01 81 0024 10 0010") + bytes(range(16))
            verdict += bytes.fromhex("21 0000 24 0007") + b"SUCCESS" + bytes.fromhex("20 0001 05")
            assert await receive(client) == verdict

    asyncio.run(run())
