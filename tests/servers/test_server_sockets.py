# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The server on the sockets against honest and hostile clients, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path

import pytest

from keyservice.access.session import Owner
from keyservice.client.session import ServiceRefused
from keyservice.contract import frames
from keyservice.contract.names import Code, ErrorName, Flag, WaitFor
from keyservice.contract.steps import Info, Prompt, Verdict, Wait
from keyservice.core.errors import Busy
from tests.servers.serverkit import (
    BEGIN,
    NOBODY,
    ScriptedSession,
    ScriptedSessions,
    as_nobody,
    dial,
    hold,
    receive,
    receive_exactly,
    receive_frame,
    refusal,
    serving,
    settled,
)


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


def test_why_a_request_is_refused_is_data(place: Path) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            client = await dial(place / "root.sock")
            client.send(b"\x01\x01\x01\x04\x01\x01\x01" + b"a" * 257)
            told = frames.parse_refused(bytearray((await receive(client))[4:]))
            assert told[1] == "the value of user has more than 256 bytes"
            assert told[2] == {"why": "too-long", "name": "user", "limit": 256}

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
