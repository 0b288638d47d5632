# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Answers that a sound ukey never gives, at any command of any operation: none makes a success."""

from __future__ import annotations

import pytest

from keyservice.core.errors import UkeyError, UkeyFailed, UkeyRemoved

from .desk import Answered, Desk
from .tasks import GENERATE, PIN_STATE, Task

#: Bytes more, or less, than there should be.
LENGTHS = {"one-more": 1, "many-more": 300, "huge": 5000, "one-less": -1, "none": -(1 << 16)}

#: Status words that mean something to some kind of card, at some command.
STATUSES = (
    *(0x6283, 0x63C0, 0x63C5, 0x63CF, 0x6581, 0x6700, 0x6982, 0x6983, 0x6984, 0x6985, 0x6988),
    *(0x698A, 0x6A80, 0x6A82, 0x6A86, 0x6A88, 0x6A8A, 0x6A8B, 0x6A91, 0x6A95, 0x6B00, 0x6C01),
    *(0x6D00, 0x6E00, 0x6E02, 0x6F00, 0x6101, 0x9001, 0xFFFF),
)
#: Those of errors, which must not bring data.
REFUSALS = (0x6400, 0x6700, 0x67C5, 0x6983, 0x698A, 0x6A88, 0x6A8A, 0x6A91, 0x6A95, 0x6C01, 0x6F00)


def FIT(task: Task) -> bool:
    """Those that send the ukey something."""
    return task.name != "info"


@pytest.mark.parametrize("by", LENGTHS.values(), ids=LENGTHS)
def test_every_length_wrong(desk: Desk, task: Task, by: int) -> None:
    for at, step in enumerate(desk.trial(task), start=1):
        if by < 0 and not step.length:
            continue  # nothing can be missing
        desk.renew()
        desk.answers()
        desk.misbehave(at=at, lengthen=by)
        try:
            result = desk.run(task)
        except UkeyError as error:
            assert isinstance(error, UkeyFailed), (step, error)
            # nothing is built on it: at most the authorisation is cleared
            assert len(desk.answers()) <= at + 1, step
        else:
            assert by == LENGTHS["none"] and task.lists, (step, result)
            assert isinstance(result, list)
            assert len(result) < len(task.expected(desk))  # type: ignore[arg-type]
        desk.check_left()
        desk.check_usable()


@pytest.mark.parametrize("by", LENGTHS.values(), ids=LENGTHS)
def test_every_length_wrong_where_it_may_have_forgotten(desk: Desk, by: int) -> None:
    for at, step in enumerate(forgotten(desk), start=1):
        if by < 0 and not step.length:
            continue
        desk.renew()
        desk.run(PIN_STATE)
        desk.forget()
        desk.misbehave(at=at, lengthen=by)
        with pytest.raises((UkeyFailed, UkeyRemoved)):
            desk.run(PIN_STATE)
        desk.check_left()
        desk.check_usable()


def forgotten(desk: Desk) -> list[Answered]:
    """The commands of an operation on a ukey that is known and was reset by somebody."""
    desk.run(PIN_STATE)
    desk.forget()
    desk.answers()
    desk.run(PIN_STATE)
    return desk.answers()


def test_a_refusal_that_brings_data_is_none(desk: Desk, task: Task) -> None:
    """Whatever its status word would mean alone."""
    for at in range(1, len(desk.trial(task)) + 1):
        for sw in REFUSALS:
            desk.renew()
            desk.misbehave(at=at, sw=sw, lengthen=1)
            with pytest.raises(UkeyFailed):
                desk.run(task)
            desk.check_left()
        desk.check_usable()


def test_no_status_word_makes_a_success(desk: Desk, task: Task) -> None:
    """Unless what is answered is so: a driver may ask once more, and a container may be empty."""
    for at in range(1, len(desk.trial(task)) + 1):
        for sw in STATUSES:
            desk.renew()
            desk.misbehave(at=at, sw=sw)
            try:
                result = desk.run(task)
            except UkeyError:
                pass
            else:
                empty = sw == desk.example.empty_word and task.lists
                nothing = task.refusable and not getattr(result, "statement", b"?")
                assert empty or nothing or desk.is_right(task, result), hex(sw)
            desk.check_left_but_for_tries()
        if task.operation is not GENERATE.operation:
            desk.check_usable()


@pytest.mark.parametrize("garbage", ["byte", "huge"])
def test_no_nonsense_makes_a_success(desk: Desk, task: Task, garbage: str) -> None:
    for at in range(1, len(desk.trial(task)) + 1):
        desk.renew()
        desk.misbehave(at=at, garbage=garbage)
        with pytest.raises(UkeyError):
            desk.run(task)
        desk.check_left()
        desk.check_usable()
