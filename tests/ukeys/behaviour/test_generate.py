# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Making a pair on the ukey."""

from __future__ import annotations

import pytest

from keyservice.core.errors import BadRequest
from keyservice.core.secret import Secret
from keyservice.ukeys.base import KeyRef
from keyservice.ukeys.kind import Ability
from keyservice.ukeys.operations import GENERATE, Arguments

from .desk import Desk
from .tasks import PUBLIC_KEY, SIGN

NEEDS = Ability.GENERATE


def generate(desk: Desk, ref: KeyRef | None = None) -> bytes:
    made = desk.generate(ref)
    assert made.algorithm == desk.example.algorithm
    return made.encoded


@pytest.mark.parametrize("place", ["empty", "new"])
def test_a_pair_is_made_and_signs(desk: Desk, place: str) -> None:
    ref: KeyRef = getattr(desk.example, place) or desk.example.ref
    if desk.example.one_container:
        desk.device.clear()
    before = desk.device.key(desk.example.ref)
    made = generate(desk, ref)
    assert made == desk.device.key(ref) != before
    desk.check_left()
    shown = PUBLIC_KEY.operation.run(desk.ukey, Arguments(ref))
    assert shown.encoded == made
    signed = SIGN.operation.run(desk.ukey, SIGN.arguments(desk.example, ref=ref))
    assert desk.device.verifies(ref, desk.example.data, signed)
    assert desk.example.one_container or desk.device.key(desk.example.ref) == before
    assert desk.resets == 1


def test_a_pair_is_never_overwritten(desk: Desk) -> None:
    before = desk.device.key(desk.example.ref)
    desk.device.set_tries(desk.example.maximum - 1)
    with pytest.raises(BadRequest):
        generate(desk, desk.example.ref)
    if not desk.example.one_container:
        made = generate(desk, desk.example.new)
        with pytest.raises(BadRequest):
            generate(desk, desk.example.new)
        assert desk.device.key(desk.example.new or desk.example.ref) == made
    assert desk.device.key(desk.example.ref) == before
    assert desk.is_right(SIGN, desk.run(SIGN))
    assert desk.resets == 1


def test_no_try_is_spent_where_a_pair_is(desk: Desk) -> None:
    wrong = Secret(desk.example.wrong)
    with pytest.raises(BadRequest):
        GENERATE.run(desk.ukey, Arguments(desk.example.ref, pin=wrong))
    assert desk.device.tries() == desk.example.maximum
    desk.check_left()
