# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Silent, half-finished and unreading clients are bounded, and typed answers are wiped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyservice.contract import frames
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Info, Verdict
from keyservice.core.errors import Busy
from keyservice.core.secret import Secret
from keyservice.servers.connection import Patience
from tests.servers.serverkit import (
    BEGIN,
    ScriptedSession,
    ScriptedSessions,
    dial,
    receive,
    receive_frame,
    refusal,
    serving,
    settled,
)

HURRIED = Patience(first_frame=0.2, frame=0.2, unread=0.2)


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


def test_answers_are_wiped_from_the_buffer_at_once(place: Path) -> None:
    async def ask_twice(session: ScriptedSession) -> None:
        await session.ask("PIN: ")
        await session.ask("Again: ")

    async def run() -> None:
        sessions = ScriptedSessions(ask_twice)
        async with serving(place, sessions) as server:
            client = await dial(place / "root.sock")
            client.send(BEGIN)
            await receive_frame(client)
            (connection,) = server._gates[0]._connections
            number = sessions.begun[0].id
            client.send(frames.build_answer(number, b"canary12")[:-3])
            await settled(lambda: b"canar" in connection._in)  # it is seen where it lies
            # the next one is cut off behind it: that much stays, and moves up
            client.send(b"y12" + frames.build_answer(number, b"second")[:6])
            await receive_frame(client)
            assert connection._in[:6] == frames.build_answer(number, b"second")[:6]
            assert not any(connection._in[6:])

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
