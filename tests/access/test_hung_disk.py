# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A disk that hangs costs its session its deadline, and nobody else anything.

In each test one system call of the store does not return. What asked for it ends in time, and says
why; everybody else logs in meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import administration as access_administration
from keyservice.access import saving
from keyservice.access.administration import Administration
from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core import threads
from keyservice.core.errors import ChangeLate, LookUpLate
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation

from .conftest import Make
from .disk import Disk
from .rig import GETTY, LOCKER, PIN, ROOT, WRONG, Held, Service, login, run, seen

SESSION = 1  #: second that a session has
DEADLINE = 0.2  #: seconds of a question without one
#: What a machine that is busy with other tests may add, and less than what would hide a fault:
#: the 2 s of a write on the side, the 5 s of a question, the 10 s of a change.
SPARE = 1.5
KEY = "ab" * 32
#: What hangs: opening a file or folder, listing a folder, bringing a file to the disk, its name.
OPEN, LIST, SYNC, NAME = "open", "scandir", "fsync", "rename"
LOOKS_UP = "look something up in time"
#: What is begun and hangs may still be done: nobody is told that nothing was changed.
WRITES = "has not written the change in time, and may still write it"


def request(operation: operations.Operation, user: str = "alice", **more: Any) -> Request:
    return Request(operation, user, **{"timeout": SESSION, **more})


def a_login(user: str = "alice", **more: Any) -> Request:
    return login(user, timeout=SESSION, **more)


def unbind() -> Request:
    return request(operations.UNBIND, flags=Flag.FORCE)


async def two_people(service: Service, make: Make) -> None:
    """Alice has a ukey, and bob another one."""
    for slot, user in enumerate(("alice", "bob")):
        service.bind(make(slot), user)
    await seen(service.ukeys)


async def others_go_on(service: Service) -> None:
    """Somebody else logs in, or does not; a person who never had a ukey passes by ``nouserok``."""
    async with asyncio.timeout(SPARE):
        assert (await service.login(PIN, user="bob")).code is Code.SUCCESS
    async with asyncio.timeout(SPARE):
        held = await service.login(user="dave", flags=Flag.NOUSEROK)
        assert held.code is Code.IGNORE
    async with asyncio.timeout(SPARE):
        held = await service.login(WRONG, user="bob")
        assert held.verdict.error is ErrorName.PIN_WRONG


async def its_deadline(held: Awaitable[Held], told: str = LOOKS_UP) -> None:
    """It ends at its deadline, and says that the host was late."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    ended = await held
    assert loop.time() - begun < SESSION + SPARE
    assert (ended.code, ended.verdict.error) == (
        Code.AUTHINFO_UNAVAIL,
        ErrorName.DEADLINE_PASSED,
    )
    assert told in ended.verdict.text


# -- sessions

SESSIONS: dict[str, tuple[Request, tuple[bytes, ...], Any, str, int]] = {
    "login": (a_login(), (), GETTY, OPEN, 0),
    "login, its revocations": (a_login(), (), GETTY, OPEN, 2),
    "login, not enrolled": (a_login("dave"), (), GETTY, LIST, 0),
    "login, nouserok": (a_login("dave", flags=Flag.NOUSEROK), (), GETTY, OPEN, 6),
    "bind": (request(operations.BIND, "dave"), (), ROOT, LIST, 0),
    "unbind": (unbind(), (), ROOT, OPEN, 0),
    "unbind, revoked": (unbind(), (), ROOT, SYNC, 0),
    "unbind, remembered": (unbind(), (), ROOT, SYNC, 6),
    "verify a PIN": (request(operations.VERIFY_PIN), (), LOCKER, OPEN, 0),
    "change a PIN": (request(operations.CHANGE_PIN), (), LOCKER, OPEN, 0),
    "unblock a PIN": (request(operations.UNBLOCK_PIN, ""), (), ROOT, LIST, 0),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_ends_at_its_deadline(tmp_path: Path, make: Make, disk: Disk, name: str) -> None:
    asked, answers, caller, call, before = SESSIONS[name]

    async def scene(service: Service) -> None:
        await two_people(service, make)
        disk.hang(call, before)
        session = asyncio.create_task(service.hold(asked, *answers, caller=caller))
        assert await asyncio.to_thread(disk.hung.wait, 10)
        told = WRITES if call == SYNC else LOOKS_UP
        await asyncio.gather(its_deadline(session, told), others_go_on(service))
        await others_go_on(service)  # while the thread still hangs

    run(tmp_path, scene)


def test_a_login_ends_at_its_deadline_if_the_disk_hangs_after_the_pin(
    tmp_path: Path, make: Make, disk: Disk
) -> None:
    """Root may have unbound it meanwhile; what nobody can tell does not let in."""

    async def scene(service: Service) -> None:
        await two_people(service, make)

        def answer() -> bytes:
            disk.hang(OPEN, path=service.records.path)
            return PIN

        session = asyncio.create_task(service.hold(a_login(), answer))
        assert await asyncio.to_thread(disk.hung.wait, 10)
        await asyncio.gather(its_deadline(session), others_go_on(service))

    run(tmp_path, scene)


@pytest.mark.parametrize("before", range(8))
def test_a_bind_ends_at_its_deadline_wherever_it_hangs_on_its_way_to_the_disk(
    tmp_path: Path, make: Make, disk: Disk, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """The record's file, its folder, the history's, the witnesses'. When the disk comes back the
    ukey is bound, and the log says so."""

    async def scene(service: Service) -> None:
        service.bind(make(1), "bob")
        ukey = make(0)
        await seen(service.ukeys)

        add = service.bindings.add

        def hang(binding: Binding, *, limit: int) -> None:
            disk.hang(SYNC, before)
            add(binding, limit=limit)

        monkeypatch.setattr(service.bindings, "add", hang)
        asked = request(operations.BIND, serial=ukey.serial)
        session = asyncio.create_task(service.hold(asked, PIN, caller=ROOT))
        assert await asyncio.to_thread(disk.hung.wait, 10)
        await asyncio.gather(its_deadline(session, WRITES), others_go_on(service))
        service.lines()
        disk.release()
        line = (await service.next_lines())[-1]
        assert "event=bind user=alice" in line
        assert 'verdict=SUCCESS reason="written after the deadline"' in line
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert service.kept.damage() == []

    run(tmp_path, scene)


def test_binds_that_follow_one_that_hangs_end_in_time_and_are_not_done_later(
    tmp_path: Path, make: Make, disk: Disk
) -> None:
    async def scene(service: Service) -> None:
        service.bind(make(1), "bob")
        ukey = make(0)
        await seen(service.ukeys)
        disk.hang(SYNC)
        binding = request(operations.UNBIND, "bob", flags=Flag.FORCE)
        first = asyncio.create_task(service.hold(binding, caller=ROOT))
        assert await asyncio.to_thread(disk.hung.wait, 10)
        second = request(operations.BIND, "alice", serial=ukey.serial)
        await asyncio.gather(
            its_deadline(first, WRITES), its_deadline(service.hold(second, PIN, caller=ROOT))
        )
        disk.release()
        assert "event=unbind user=bob" in (await service.next_lines())[0]
        await asyncio.sleep(0.05)
        assert service.bindings.named("alice") == ()

    run(tmp_path, scene)


# -- questions, and root's repairs

QUESTIONS: dict[str, tuple[Callable[[Administration], Awaitable[object]], str, int]] = {
    "list-ukeys": (lambda ask: ask.list_ukeys(LOCKER), LIST, 0),
    "list-bindings": (lambda ask: ask.list_bindings(LOCKER), LIST, 0),
    "list-bindings, revocations": (lambda ask: ask.list_bindings(LOCKER), OPEN, 4),
    "status": (lambda ask: ask.status(ROOT), LIST, 0),
    "list-revocations": (lambda ask: ask.list_revocations(ROOT), OPEN, 0),
    "unrevoke, found": (lambda ask: ask.unrevoke(ROOT, KEY), OPEN, 0),
    "unrevoke": (lambda ask: ask.unrevoke(ROOT, KEY), SYNC, 0),
    "forget": (lambda ask: ask.forget(ROOT, "carol"), SYNC, 0),
    "accept-state": (lambda ask: ask.accept_state(ROOT), LIST, 0),
    "verify-challenge": (lambda ask: ask.verify_challenge(ROOT, "alice", b"?" * 32, b""), OPEN, 0),
    "reset-throttle": (lambda ask: ask.reset_throttle(ROOT, "SN7"), LIST, 0),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_ends_in_time(
    tmp_path: Path, make: Make, disk: Disk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However often it is asked: it leaves no more than its share of the threads behind."""
    question, call, before = QUESTIONS[name]
    monkeypatch.setattr(access_administration, "DEADLINE", DEADLINE)

    async def scene(service: Service) -> None:
        await two_people(service, make)
        carols = service.bind(make(inserted=False, serial="SN2"), "carol")
        service.bindings.remove(carols)
        service.revocations.append(Revocation(KEY, True, "then", 0, "alice", "SN9"))
        asked = Administration(service.services, service.sessions, "1.2.3")
        loop = asyncio.get_running_loop()
        disk.hang(call, before)
        begun = loop.time()
        with pytest.raises(LookUpLate) as late:
            await question(asked)
        assert (type(late.value) is ChangeLate) is (call == SYNC or name == "accept-state")
        assert loop.time() - begun < 2 * DEADLINE + SPARE
        assert disk.hung.is_set()
        await others_go_on(service)

    run(tmp_path, scene)


@pytest.mark.parametrize("caller", [LOCKER, ROOT, GETTY], ids=["a person", "by sudo", "root"])
def test_questions_without_end_leave_the_threads_to_logins(
    tmp_path: Path, make: Make, disk: Disk, monkeypatch: pytest.MonkeyPatch, caller: Any
) -> None:
    monkeypatch.setattr(access_administration, "DEADLINE", DEADLINE)

    async def scene(service: Service) -> None:
        await two_people(service, make)
        asked = Administration(service.services, service.sessions, "1.2.3")
        held = service.kept.revocations

        def hang() -> Any:
            disk.hung.set()
            assert disk._release.wait(60)

        monkeypatch.setattr(held, "all", hang)
        questions: list[Awaitable[object]] = [
            asked.list_bindings(caller) for _ in range(2 * threads.LIMIT)
        ]
        if caller.root:
            questions += [asked.list_revocations(caller) for _ in range(2 * threads.LIMIT)]
        outcomes = await asyncio.gather(*questions, return_exceptions=True)
        assert {type(each) for each in outcomes} == {LookUpLate}
        async with asyncio.timeout(SPARE):
            assert (await service.login(PIN, user="bob")).code is Code.SUCCESS

    run(tmp_path, scene)


# -- on the side


@pytest.mark.parametrize(("call", "before"), [(OPEN, 0), (NAME, 0), (NAME, 1), (SYNC, 0)])
def test_counts_that_cannot_be_written_keep_nobody_out(
    tmp_path: Path, make: Make, disk: Disk, call: str, before: int
) -> None:
    async def scene(service: Service) -> None:
        await two_people(service, make)

        def answer() -> bytes:
            disk.hang(call, before)
            return WRONG

        loop = asyncio.get_running_loop()
        begun = loop.time()
        held = await service.hold(a_login(), answer)
        assert disk.hung.is_set()
        assert loop.time() - begun < SESSION + SPARE
        assert held.verdict.error in (ErrorName.PIN_WRONG, ErrorName.DEADLINE_PASSED)
        if held.verdict.error is ErrorName.PIN_WRONG:
            assert service.services.throttle.counts("SN0")
        async with asyncio.timeout(saving.WRITE_SECONDS + SPARE):
            assert (await service.login(PIN, user="bob")).code is Code.SUCCESS
        await others_go_on(service)  # from then on nobody waits for it

    run(tmp_path, scene)
