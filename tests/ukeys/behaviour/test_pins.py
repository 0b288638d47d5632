# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN: what can be one, right and wrong ones, tries that are kept, and a blocked PIN."""

from __future__ import annotations

from typing import Any

import pytest

from keyservice.core.errors import PinLocked, PinRefused, PinWrong, TryWithheld, UkeyError
from keyservice.core.secret import Secret
from keyservice.ukeys.base import PinState, TryReserve

from .desk import Desk
from .tasks import PIN_STATE, TASKS, UNBLOCK_PIN, VERIFY_PIN, Task


def FIT(task: Task) -> bool:
    """Those that spend a try of the user PIN."""
    return bool(task.pins) and not task.admin


def spend(desk: Desk, task: Task, pin: bytes = b"", reserve: TryReserve = TryReserve.NONE) -> Any:
    arguments = task.arguments(desk.example, pin=Secret(pin or desk.example.pin), reserve=reserve)
    return task.operation.run(desk.ukey, arguments)


def state(desk: Desk, left: int) -> PinState:
    return PinState(desk.example.maximum, left, default=False)


def test_a_right_pin_earns_all_tries_back(desk: Desk, task: Task) -> None:
    desk.device.set_tries(1)
    assert desk.is_right(task, spend(desk, task))
    assert desk.device.tries() == desk.example.maximum
    assert desk.ukey.seen_pin == state(desk, desk.example.maximum)
    desk.check_left()


def test_a_wrong_pin_costs_a_try_and_says_how_many_are_left(desk: Desk, task: Task) -> None:
    for left in reversed(range(desk.example.maximum)):
        with pytest.raises(PinWrong) as caught:
            spend(desk, task, desk.example.wrong)
        assert caught.value.facts == {"left": left, "maximum": desk.example.maximum}
        assert desk.device.tries() == left
        assert desk.ukey.seen_pin == state(desk, left)
        desk.check_left()
    assert desk.resets == 1  # a person mistyped: nothing is wrong with the ukey
    assert desk.run(PIN_STATE) == state(desk, 0)


def test_a_wrong_pin_does_nothing_else(desk: Desk, task: Task) -> None:
    with pytest.raises(PinWrong):
        spend(desk, task, desk.example.wrong)
    new = None if desk.example.one_container else desk.example.new
    assert new is None or desk.device.key(new) is None
    assert desk.run(VERIFY_PIN) == state(desk, desk.example.maximum)  # the old one


@pytest.mark.parametrize("faults", [{"lengthen": 1}, {"sw": 0x6F00}, {"pull": "after"}], ids=str)
def test_a_count_that_is_not_sure_is_not_claimed(
    desk: Desk, task: Task, faults: dict[str, Any]
) -> None:
    """A wrong PIN, and then at any command an answer that says nothing of it."""
    for at in range(1, len(desk.trial(task)) + 1):
        desk.renew()
        desk.misbehave(at=at, **faults)
        with pytest.raises(UkeyError):
            spend(desk, task, desk.example.wrong)
        desk.check_left()


def test_a_blocked_pin_is_told_and_not_sent(desk: Desk, task: Task) -> None:
    desk.device.set_tries(0)
    for pin in (desk.example.pin, desk.example.wrong):
        with pytest.raises(PinLocked) as caught:
            spend(desk, task, pin)
        assert caught.value.facts["maximum"] == desk.example.maximum
        assert desk.ukey.seen_pin == state(desk, 0)
        desk.check_left()
    assert desk.resets == 1


def test_a_pin_that_the_ukey_calls_blocked_is(desk: Desk, task: Task) -> None:
    """Whatever count it told before."""
    steps = desk.trial(task)
    blocked = 0
    for at in range(1, len(steps) + 1):
        desk.renew()
        desk.misbehave(sw=0x6983, at=at)
        with pytest.raises(UkeyError) as caught:
            desk.run(task)
        blocked += type(caught.value) is PinLocked
        desk.check_left_but_for_tries()
    assert blocked >= 1


@pytest.mark.parametrize("reserve", [TryReserve.LAST, TryReserve.RESERVE])
def test_a_try_that_is_kept_is_not_spent(desk: Desk, task: Task, reserve: TryReserve) -> None:
    for each in range(1, reserve.tries(desk.example.maximum) + 1):
        desk.device.set_tries(each)
        for pin in (desk.example.pin, desk.example.wrong):
            with pytest.raises(TryWithheld) as caught:
                spend(desk, task, pin, reserve)
            assert caught.value.facts == {"left": each, "maximum": desk.example.maximum}
        assert desk.device.tries() == each
        assert desk.ukey.seen_pin == state(desk, each)
        desk.check_left()
    assert desk.resets == 1


@pytest.mark.parametrize(
    ("reserve", "maximum", "kept"),
    [
        (TryReserve.NONE, 10, 0),
        (TryReserve.LAST, 10, 1),
        (TryReserve.RESERVE, 10, 3),
        (TryReserve.RESERVE, 3, 1),
        (TryReserve.RESERVE, 1, 1),
    ],
)
def test_how_many_tries_are_kept(reserve: TryReserve, maximum: int, kept: int) -> None:
    assert reserve.tries(maximum) == kept


@pytest.mark.parametrize("reserve", TryReserve)
def test_the_last_try_that_is_not_kept_is_spent(
    desk: Desk, task: Task, reserve: TryReserve
) -> None:
    least = reserve.tries(desk.example.maximum) + 1
    desk.device.set_tries(least)
    with pytest.raises(PinWrong):
        spend(desk, task, desk.example.wrong, reserve)
    desk.device.set_tries(least)
    assert desk.is_right(task, spend(desk, task, reserve=reserve))


def test_what_cannot_be_a_pin_is_not_sent(desk: Desk, task: Task) -> None:
    rule = desk.example.kind.pin_rule
    desk.answers()
    for length in (0, rule.minimum - 1, rule.maximum + 1, 300):
        unfit = task.arguments(desk.example, pin=Secret(b"7" * length))
        with pytest.raises(PinRefused):
            task.operation.run(desk.ukey, unfit)
    assert desk.answers() == []
    assert desk.device.tries() == desk.example.maximum


def test_the_shortest_and_the_longest_pin_are_sent(desk: Desk, task: Task) -> None:
    rule = desk.example.kind.pin_rule
    for length in (rule.minimum, rule.maximum):
        before = desk.device.tries()
        with pytest.raises(PinWrong):
            spend(desk, task, b"7" * length)
        assert desk.device.tries() == before - 1


def test_the_tries_are_told_without_spending_one(desk: Desk) -> None:
    for left in range(desk.example.maximum + 1):
        desk.device.set_tries(left)
        assert desk.run(PIN_STATE) == desk.ukey.seen_pin == state(desk, left)
        assert desk.device.tries() == left


def test_no_pin_is_in_any_error(desk: Desk) -> None:
    example = desk.example
    secrets = [each for each in (example.pin, example.next_pin, example.admin) if each]
    for task in TASKS:
        if not task.pins or not task.is_for(example):
            continue
        for at in range(1, len(desk.trial(task)) + 1):
            for faults in ({"sw": 0x6F00}, {"lengthen": 1}, {"pull": "before"}):
                desk.renew()
                desk.misbehave(at=at, **faults)
                with pytest.raises(UkeyError) as caught:
                    desk.run(task)
                error: BaseException | None = caught.value
                while error is not None:
                    told = f"{error} {error!r} {getattr(error, 'facts', '')}"
                    for secret in secrets:
                        assert secret.decode() not in told
                        assert secret.hex() not in told
                    error = error.__context__


def test_a_blocked_pin_leaves_what_needs_none(desk: Desk) -> None:
    desk.device.set_tries(0)
    able = [task for task in TASKS if task.is_for(desk.example) and task is not PIN_STATE]
    for task in able:
        if not task.pins or task is UNBLOCK_PIN:
            assert desk.is_right(task, desk.run(task))
