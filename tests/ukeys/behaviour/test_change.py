# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Changing the PIN."""

from __future__ import annotations

import pytest

from keyservice.core.errors import PinRefused, PinWrong
from keyservice.core.secret import Secret
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.kind import Ability
from keyservice.ukeys.operations import CHANGE_PIN, VERIFY_PIN, Arguments

from .desk import Desk

NEEDS = Ability.CHANGE_PIN


def change(desk: Desk, old: bytes, new: bytes) -> None:
    with Secret(old) as old_pin, Secret(new) as new_pin:
        reserve = TryReserve.NONE
        given = Arguments(desk.example.ref, pin=old_pin, new_pin=new_pin, reserve=reserve)
        CHANGE_PIN.run(desk.ukey, given)


def verify(desk: Desk, pin: bytes) -> PinState:
    with Secret(pin) as secret:
        given = Arguments(desk.example.ref, pin=secret, reserve=TryReserve.NONE)
        return VERIFY_PIN.run(desk.ukey, given)


def test_the_new_pin_is_right_and_the_old_one_wrong(desk: Desk) -> None:
    example = desk.example
    change(desk, example.pin, example.next_pin)
    with pytest.raises(PinWrong):
        verify(desk, example.pin)
    assert verify(desk, example.next_pin).left == example.maximum
    with pytest.raises(PinWrong):
        change(desk, example.pin, example.next_pin)
    change(desk, example.next_pin, example.pin)
    assert verify(desk, example.pin).left == example.maximum
    assert desk.resets == 1


def test_every_pin_that_can_be_one_can_be_changed_to(desk: Desk) -> None:
    rule, pin = desk.example.kind.pin_rule, desk.example.pin
    for length in range(rule.minimum, rule.maximum + 1):
        new = b"4" * length
        change(desk, pin, new)
        for other in {b"4" * rule.minimum, b"4" * rule.maximum} - {new}:
            with pytest.raises(PinWrong):
                verify(desk, other)
        assert verify(desk, new).left == desk.example.maximum
        pin = new


def test_what_cannot_be_a_pin_is_no_new_one(desk: Desk) -> None:
    rule = desk.example.kind.pin_rule
    desk.answers()
    for length in (0, rule.minimum - 1, rule.maximum + 1):
        with pytest.raises(PinRefused):
            change(desk, desk.example.pin, b"4" * length)
    assert desk.answers() == []
    assert verify(desk, desk.example.pin).left == desk.example.maximum


def test_a_changed_pin_outlives_the_power(desk: Desk) -> None:
    change(desk, desk.example.pin, desk.example.next_pin)
    desk.remove()
    desk.insert()
    desk.ukey = desk.recognised()
    assert verify(desk, desk.example.next_pin).left == desk.example.maximum
