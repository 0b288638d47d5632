# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Pulled out at any command of any operation, and put in again."""

from __future__ import annotations

import pytest

from keyservice.core.errors import UkeyAbsent, UkeyError, UkeyRemoved
from keyservice.transport import pcsc

from .desk import READER, Desk
from .tasks import PIN_STATE, SIGN, Task


def FIT(task: Task) -> bool:
    """Those that send the ukey something."""
    return task.name != "info"


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_at_any_command(desk: Desk, task: Task, when: str) -> None:
    for at in range(1, len(desk.trial(task)) + 1):
        desk.renew()
        desk.misbehave(pull=when, at=at)
        with pytest.raises(UkeyRemoved):
            desk.run(task)
        desk.check_left()
        with pytest.raises(UkeyAbsent):  # nothing is believed of a ukey that is out
            desk.run(SIGN)
        desk.insert()
        desk.behave()
        assert desk.example.maximum - desk.device.tries() <= 1
        desk.run(PIN_STATE)  # the same ukey is back in its reader
        desk.check_usable()


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_while_it_is_recognised(desk: Desk, when: str) -> None:
    desk.answers()
    desk.recognised()
    for at in range(1, len(desk.answers()) + 1):
        desk.misbehave(pull=when, at=at)
        with pytest.raises(UkeyAbsent):
            desk.example.kind.recognise(pcsc.Card(READER))
        desk.insert()
        desk.check_usable()


def test_taken_out_and_put_back_between_two_operations(desk: Desk, task: Task) -> None:
    desk.run(SIGN)
    desk.remove()
    with pytest.raises(UkeyError) as caught:
        desk.run(SIGN)
    assert isinstance(caught.value, UkeyAbsent)
    desk.insert()
    assert desk.is_right(task, desk.run(task))
    desk.check_left()


def test_another_ukey_of_its_kind_in_its_place_gets_no_pin(desk: Desk, task: Task) -> None:
    desk.run(SIGN)
    other = desk.example.serials[1]
    desk.change(other)
    with pytest.raises(UkeyRemoved):
        desk.run(task)
    desk.check_left()
    assert desk.device.tries() == desk.example.maximum
    assert desk.resets == 1
    assert desk.recognised().info().serial == other
