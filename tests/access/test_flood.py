# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A caller who is refused without end does not fill the log, and no important line is left out."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from keyservice.access import flood
from keyservice.access.conversation import Caller, Request
from keyservice.access.flood import (
    COUNTED,
    LINES,
    LINES_OF_ALL,
    LINES_OF_ROOT,
    WINDOW,
    Flood,
)
from keyservice.contract import operations
from keyservice.contract.names import Code, Flag
from keyservice.core.errors import NotAllowed
from keyservice.core.repeats import Repeats

from .conftest import Make
from .rig import LOCKER, PIN, ROOT, SSHD, SU, WRONG, Clock, Service, carry, hang_up_at, run

MORE = 30  #: refusals beyond those that get a line


def refuse(service: Service, caller: Caller, times: int) -> list[str]:
    """Have `caller` refused, since only root may bind. Returns the lines."""
    lines = []
    for _ in range(times):
        with pytest.raises(NotAllowed):
            service.begin(Request(operations.BIND, "alice"), caller)
        lines += service.lines()
    return lines


def test_the_first_have_lines_and_the_others_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flood, "WINDOW", 0.3)

    async def scene(service: Service) -> None:
        for _ in range(2):  # and again, when the window is over
            assert len(refuse(service, LOCKER, LINES + MORE)) == LINES
            (line,) = await service.next_lines()
            assert line.startswith("<84>")
            assert line.endswith(f"event=suppressed person=1000 refusals={MORE}")

    run(tmp_path, scene)


def test_a_flood_of_one_person_leaves_out_nobody_else(tmp_path: Path) -> None:
    bob = dataclasses.replace(LOCKER, uid=1001, ruid=1001)

    async def scene(service: Service) -> None:
        refuse(service, LOCKER, LINES + MORE)
        assert len(refuse(service, bob, 1)) == 1

    run(tmp_path, scene)


def test_who_calls_by_su_is_counted_with_what_he_calls_himself(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        refuse(service, LOCKER, LINES)
        assert (await service.login(user="mallory", caller=SU)).code is Code.USER_UNKNOWN
        assert service.lines() == []

    run(tmp_path, scene)


def test_no_success_no_guess_and_nothing_of_roots_is_left_out(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        refuse(service, LOCKER, LINES + MORE)
        for pin, caller, what in (
            (WRONG, LOCKER, "PinWrong"),
            (WRONG, SU, "PinWrong"),
            (PIN, LOCKER, "verdict=SUCCESS"),
        ):
            await service.login(pin, caller=caller)
            (line,) = service.lines()
            assert what in line
        for _ in range(LINES + MORE):
            await service.login(user="mallory")
            await service.hold(Request(operations.UNBIND, "mallory"), caller=ROOT)
            assert len(service.lines()) == 2

    run(tmp_path, scene)


def test_nor_does_who_is_let_pass_without_a_ukey_by_himself(tmp_path: Path) -> None:
    """A person without a ukey may be let pass without a question: a program can loop."""

    async def scene(service: Service) -> None:
        lines = 0
        for _ in range(LINES + MORE):
            held = await service.login(caller=LOCKER, flags=Flag.NOUSEROK)
            assert held.code is Code.IGNORE
            lines += len(service.lines())
        assert lines == LINES
        await service.login(caller=SU, flags=Flag.NOUSEROK)
        assert len(service.lines()) == 1

    run(tmp_path, scene)


def test_strangers_at_sshd_do_not_fill_the_log_nor_take_lines_from_people(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        lines = 0
        for number in range(LINES_OF_ROOT + MORE):
            by_ssh = {"service": "sshd", "tty": "ssh", "rhost": "192.0.2.1"}
            await service.login(user=f"mallory{number}", caller=SSHD, **by_ssh)
            lines += len(service.lines())
        assert lines == LINES_OF_ROOT
        assert len(refuse(service, LOCKER, 1)) == 1
        await service.login(user="mallory")  # on a console
        assert len(service.lines()) == 1
        await service.sessions.stop()
        (line,) = service.lines()
        assert line.endswith(f"event=suppressed person=0 refusals={MORE}")

    run(tmp_path, scene)


def test_a_guess_that_somebody_hung_up_on_has_its_line(tmp_path: Path, make: Make) -> None:
    """The guess was right: nobody finds that out without a line."""
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        refuse(service, LOCKER, LINES + MORE)
        ukey.control.misbehave(slow=500, ins=[0x18])
        session = service.begin(Request(operations.VERIFY_PIN), LOCKER)
        hanging_up = asyncio.create_task(hang_up_at(ukey, 0x18, session))
        held = await carry(session, PIN)
        await hanging_up
        assert held.code is Code.CONV_ERR
        (line,) = service.lines()
        assert " event=verify-pin " in line
        assert "Cancelled" in line

    run(tmp_path, scene)


def test_the_end_of_the_service_tells_what_was_counted(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        refuse(service, LOCKER, LINES + MORE)
        await service.sessions.stop()
        (line,) = service.lines()
        assert " event=suppressed " in line

    run(tmp_path, scene)


def test_many_uids_are_one_flood() -> None:
    clock = Clock()
    counts = Flood(clock)
    admitted = sum(counts.admits(uid) for uid in range(100_000, 165_536))
    assert admitted == LINES_OF_ALL
    assert counts.admits(0)  # sshd's strangers do not count as such people
    taken = dict(counts.take())
    assert len(taken) == COUNTED + 1
    assert sum(taken.values()) + admitted == 65_536
    assert counts.admits(1000)


def test_a_window_without_a_flood_just_ends() -> None:
    clock = Clock()
    counts = Flood(clock)
    for _ in range(3):
        assert all(counts.admits(None) for _ in range(LINES))
        clock.seconds += WINDOW
    assert counts.take() == []


def test_lines_of_one_kind_have_an_end_and_a_number() -> None:
    clock = Clock()
    counts = Repeats(clock)
    assert counts.over() == []
    assert sum(counts.admits("a card failed: %s") for _ in range(LINES + MORE)) == LINES
    assert counts.admits("another: %s")
    assert counts.over() == []
    clock.seconds += WINDOW
    assert counts.over() == [("a card failed: %s", MORE)]
    assert counts.admits("a card failed: %s")
