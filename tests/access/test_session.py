# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions: limits, owners, answers, and that each ends in one verdict whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.access import session as module
from keyservice.access.context import Context
from keyservice.access.conversation import Caller, Request
from keyservice.access.operations import FUNCTIONS
from keyservice.access.session import Owner, Session
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag, WaitFor
from keyservice.contract.steps import Prompt, Verdict
from keyservice.core.errors import BadRequest, Busy, NoSession, UkeyAbsent
from keyservice.core.secret import Secret

from .rig import LOCKER, MOMENT, PIN, SILENCE, Service, carry, login, run

Play = Callable[[Context], object]


@pytest.fixture
def operation(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], None]:
    """Put a script in the place of the login: these tests look at the session around it."""

    def put(play: Play) -> None:
        monkeypatch.setitem(FUNCTIONS, operations.AUTHENTICATION, play)

    return put


async def ask(context: Context) -> Verdict:
    await context.conversation.ask("PIN: ")
    return Verdict(Code.SUCCESS)


def test_one_for_each_connection(tmp_path: Path, operation: Callable[[Play], None]) -> None:
    operation(ask)

    async def scene(service: Service) -> None:
        first = service.begin(login(), LOCKER, "socket-7")
        with pytest.raises(Busy):
            service.begin(login(), LOCKER, "socket-7")
        await carry(first, PIN)
        await carry(service.begin(login(), LOCKER, "socket-7"), PIN)
        for _ in range(2):  # one name on the bus is one program, with several
            service.begin(login(), LOCKER, ":1.7")

    run(tmp_path, scene)


def test_whose_it_is(tmp_path: Path, operation: Callable[[Play], None]) -> None:
    operation(ask)

    def caller(uid: int, source: str) -> Caller:
        return Caller(uid, 1, uid, None, None, source)

    async def scene(service: Service) -> None:
        on_bus = service.begin(login(), LOCKER, ":1.7")
        on_socket = service.begin(login(), LOCKER, "socket-7")
        find = service.sessions.find
        assert find(on_bus.id, caller(1000, ":1.7")) is on_bus
        assert find(on_bus.id, caller(1000, "user.sock")) is on_bus  # to be answered
        for number, who in (
            (on_bus.id, caller(1000, ":1.8")),
            (on_bus.id, caller(1001, "user.sock")),
            (on_bus.id, caller(0, "root.sock")),
            (on_bus.id, caller(1001, ":1.7")),
            (on_socket.id, caller(1000, "user.sock")),
            (on_socket.id, caller(1000, ":1.7")),
            (bytes(16), caller(1000, ":1.7")),
        ):
            with pytest.raises(NoSession):
                find(number, who)
        assert len({on_bus.id, on_socket.id}) == 2
        assert len(on_bus.id) == 16

    run(tmp_path, scene)


def test_it_dies_with_its_owner(tmp_path: Path, operation: Callable[[Play], None]) -> None:
    operation(ask)

    async def scene(service: Service) -> None:
        mine = [service.begin(login(), LOCKER, ":1.7") for _ in range(3)]
        other = service.begin(login(), LOCKER, ":1.8")
        service.sessions.drop(Owner(1000, ":1.7"))
        for each in mine:
            await each.ended()
            with pytest.raises(NoSession):
                service.sessions.find(each.id, Caller(1000, 1, 1000, None, None, ":1.7"))
        assert (await carry(other, PIN)).code is Code.SUCCESS
        assert len(service.sessions) == 0
        assert sum("CONV_ERR" in line for line in service.lines()) == 3

    run(tmp_path, scene)


def test_answers_are_wiped(tmp_path: Path, operation: Callable[[Play], None]) -> None:
    kept: list[Secret] = []

    async def keep(context: Context) -> Verdict:
        kept.append(await context.conversation.ask("one"))
        kept.append(await context.conversation.ask("two"))
        with kept[0].view() as view:
            assert bytes(view) == PIN
        raise UkeyAbsent()

    operation(keep)

    async def scene(service: Service) -> None:
        await carry(service.begin(login()), PIN, b"other")
        for secret in kept:
            with secret.view() as view:
                assert bytes(view) == bytes(len(view))

    run(tmp_path, scene)


def test_answers_that_nobody_asked_for(tmp_path: Path, operation: Callable[[Play], None]) -> None:
    operation(ask)

    async def scene(service: Service) -> None:
        session = service.begin(login())
        with pytest.raises(BadRequest):
            session.answer(Secret(PIN))  # the prompt has not come yet
        assert isinstance(await session.next_step(), Prompt)
        with pytest.raises(BadRequest):
            session.answer(Secret(bytes(257)))
        session.answer(Secret(bytes(256)))
        with pytest.raises(BadRequest):
            session.answer(Secret(PIN))
        assert isinstance(await session.next_step(), Verdict)
        with pytest.raises(BadRequest):
            session.answer(Secret(PIN))
        with pytest.raises(NoSession):
            await session.next_step()

    run(tmp_path, scene)


@pytest.mark.parametrize("bug", [ZeroDivisionError, MemoryError, TimeoutError, AssertionError])
def test_a_bug_is_a_verdict_and_no_text(
    tmp_path: Path,
    operation: Callable[[Play], None],
    bug: type[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(context: Context) -> Verdict:
        raise bug("528491")

    operation(fail)

    async def scene(service: Service) -> None:
        held = await service.login()
        assert held.code is (Code.BUF_ERR if bug is MemoryError else Code.SERVICE_ERR)
        assert held.verdict.error is ErrorName.FAILED
        assert "528491" not in held.text
        assert "528491" not in "".join(service.lines())
        operation(ask)
        assert (await service.login(PIN)).code is Code.SUCCESS

    with caplog.at_level(logging.ERROR):
        run(tmp_path, scene)
    assert any(record.exc_info for record in caplog.records)


def test_no_verdict_but_from_an_operation_is_a_success(
    tmp_path: Path, operation: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the audit itself fails."""
    operation(ask)

    async def scene(service: Service) -> None:
        monkeypatch.setattr(service.services.audit, "attempt", None)
        verdict = (await service.login(PIN)).verdict
        assert (verdict.code, verdict.error) == (Code.SERVICE_ERR, ErrorName.FAILED)

    run(tmp_path, scene)


def test_the_deadline_counts_from_the_begin(
    tmp_path: Path, operation: Callable[[Play], None]
) -> None:
    seen = []

    async def slow(context: Context) -> Verdict:
        seen.append(context.conversation.remaining())
        await asyncio.sleep(0.7)
        await context.conversation.ask("PIN: ")
        return Verdict(Code.SUCCESS)

    operation(slow)

    async def scene(service: Service) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        session = service.begin(login(timeout=300))  # the configuration allows less
        short = service.begin(login(timeout=1))
        held = await carry(short, SILENCE)
        assert held.verdict.error is ErrorName.DEADLINE_PASSED
        assert 0.9 < held.ended - begun < 4
        allowed, asked = seen
        assert 4 < allowed <= 5
        assert 0 < asked <= 1
        session.cancel()

    run(tmp_path, scene, Rules(deadline=5))


def test_a_verdict_that_nobody_fetches_is_dropped(
    tmp_path: Path, operation: Callable[[Play], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.2)

    async def at_once(context: Context) -> Verdict:
        return Verdict(Code.SUCCESS)

    operation(at_once)

    async def scene(service: Service) -> None:
        session: Session = service.begin(login(), LOCKER, ":1.7")
        await session.ended()
        assert len(service.sessions) == 1
        async with asyncio.timeout(10):
            while len(service.sessions):
                await asyncio.sleep(MOMENT)

    run(tmp_path, scene)


def test_a_silent_one_asks_and_says_no_more(
    tmp_path: Path, operation: Callable[[Play], None]
) -> None:
    async def chat(context: Context) -> Verdict:
        await context.conversation.info("info")
        await context.conversation.error("error")
        await context.conversation.wait("wait", WaitFor.UKEY)
        await context.conversation.ask("x" * 5000)
        return Verdict(Code.SUCCESS)

    operation(chat)

    async def scene(service: Service) -> None:
        assert (await service.login(PIN)).kinds == ["Info", "Error", "Wait", "Prompt", "Verdict"]
        held = await service.login(PIN, flags=Flag.SILENT)
        assert held.kinds == ["Prompt", "Verdict"]
        assert len(held.prompts[0]) == 1024

    run(tmp_path, scene)


def test_the_service_ends_with_its_sessions(
    tmp_path: Path, operation: Callable[[Play], None]
) -> None:
    operation(ask)
    sessions: list[Session] = []

    async def scene(service: Service) -> None:
        sessions.extend(service.begin(login()) for _ in range(5))
        await sessions[0].next_step()

    run(tmp_path, scene)
    assert len(sessions) == 5

    async def each() -> list[object]:
        return [session._steps[-1] for session in sessions]

    verdicts = asyncio.run(each())
    assert all(isinstance(v, Verdict) and v.code is Code.CONV_ERR for v in verdicts)


def test_requests_are_checked_before_anything_begins(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        with pytest.raises(BadRequest):
            service.begin(Request(operations.AUTHENTICATION, "alice", flags=Flag.FORCE))
        assert len(service.sessions) == 0
        assert service.lines() == []

    run(tmp_path, scene)
