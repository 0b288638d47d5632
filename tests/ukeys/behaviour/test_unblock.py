# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Unblocking the PIN by the admin PIN, whose last try is never spent."""

from __future__ import annotations

import pytest

from keyservice.core.errors import PinLocked, PinRefused, PinWrong, TryWithheld
from keyservice.core.secret import Secret
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.kind import Ability
from keyservice.ukeys.operations import PIN_STATE, UNBLOCK_PIN, VERIFY_PIN, Arguments

from .desk import Desk

NEEDS = Ability.UNBLOCK_PIN


def unblock(desk: Desk, admin: bytes, new: bytes) -> None:
    with Secret(admin) as admin_pin, Secret(new) as new_pin:
        UNBLOCK_PIN.run(desk.ukey, Arguments(desk.example.ref, pin=admin_pin, new_pin=new_pin))


def verify(desk: Desk, pin: bytes) -> PinState:
    with Secret(pin) as secret:
        given = Arguments(desk.example.ref, pin=secret, reserve=TryReserve.NONE)
        return VERIFY_PIN.run(desk.ukey, given)


def admin_state(desk: Desk) -> PinState:
    return PIN_STATE.run(desk.ukey, Arguments(desk.example.ref, admin=True))


@pytest.mark.parametrize("left", [0, 1])
def test_the_pin_has_its_new_value_and_all_its_tries(desk: Desk, left: int) -> None:
    example = desk.example
    desk.device.set_tries(left)
    unblock(desk, example.admin, example.next_pin)
    assert desk.device.tries() == example.maximum
    assert desk.ukey.seen_pin in (None, PinState(example.maximum, example.maximum, False))
    desk.check_left()
    with pytest.raises(PinWrong):
        verify(desk, example.pin)
    assert verify(desk, example.next_pin).left == example.maximum
    assert desk.resets == 1


def test_a_wrong_admin_pin_costs_its_own_try_alone(desk: Desk) -> None:
    desk.device.set_tries(0)
    before = admin_state(desk)
    with pytest.raises(PinWrong) as caught:
        unblock(desk, desk.example.wrong_admin, desk.example.next_pin)
    assert caught.value.facts == {"left": before.left - 1, "maximum": before.maximum}
    assert desk.device.tries(admin=True) == before.left - 1
    assert desk.device.tries() == 0
    assert desk.ukey.seen_pin is None  # nothing was seen of the user PIN
    assert admin_state(desk).left == before.left - 1
    assert desk.ukey.seen_pin is None
    with pytest.raises(PinLocked):
        verify(desk, desk.example.pin)
    assert desk.resets == 1


def test_the_last_try_of_the_admin_pin_is_never_spent(desk: Desk) -> None:
    example = desk.example
    maximum = admin_state(desk).maximum
    for left, error in ((1, TryWithheld), (0, PinLocked)):
        desk.device.set_tries(left, admin=True)
        for admin in (example.admin, example.wrong_admin):
            with pytest.raises(error) as caught:
                unblock(desk, admin, example.next_pin)
            assert caught.value.facts["maximum"] == maximum
        assert desk.device.tries(admin=True) == left
        desk.check_left()
    desk.device.set_tries(2, admin=True)
    unblock(desk, example.admin, example.next_pin)
    assert desk.device.tries(admin=True) == maximum


def test_what_cannot_be_a_pin_is_sent_as_neither(desk: Desk) -> None:
    rule, example = desk.example.kind.pin_rule, desk.example
    desk.answers()
    for length in (0, rule.minimum - 1, rule.maximum + 1):
        for admin, new in ((example.admin, b"4" * length), (b"4" * length, example.next_pin)):
            with pytest.raises(PinRefused):
                unblock(desk, admin, new)
    assert desk.answers() == []
    assert verify(desk, example.pin).left == example.maximum
