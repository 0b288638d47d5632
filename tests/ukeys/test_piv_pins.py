# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN, the PUK and the management key of PIV cards, and what root is told before binding."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.core.errors import (
    BadRequest,
    ManagementKeyWrong,
    NotTouched,
    PinLocked,
    PinRefused,
    PinWrong,
    TryWithheld,
)
from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.ukeys.base import KeyRef, KeyUse, PinState, Remark, TryReserve

from .piv_desk import MANAGEMENT, NEW, PIN, PUK, REF, WRONG, insert, recognised, sign

VERIFY, GENERATE = 0x20, 0x47
BUILDS = pytest.mark.parametrize("vendor", [True, False], ids=["vendor", "plain"])


# -- tries


@BUILDS
def test_tries_are_read_without_spending_one(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    for _ in range(4):
        assert ukey.pin_state(REF) == PinState(3, 3, False)
    with pytest.raises(PinWrong) as wrong:
        sign(ukey, WRONG)
    assert wrong.value.facts["left"] == 2
    assert ukey.seen_pin == PinState(3, 2, False)
    assert ukey.pin_state(REF).left == slot.card.state.pin.left == 2


def test_a_maximum_that_is_not_told_is_taken_for_three(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False, tries=8)
    ukey = recognised(slot)
    assert ukey.pin_state(REF) == PinState(8, 8, False)
    slot.card.state.pin.left = 2
    assert ukey.pin_state(REF) == PinState(3, 2, False)


@BUILDS
def test_the_last_try_and_the_reserve_of_three(tmp_path: Path, vendor: bool) -> None:
    """A third of three is one: so the reserve is the last try."""
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    for keep in (TryReserve.RESERVE, TryReserve.LAST):
        slot.card.state.pin.left = 2
        with pytest.raises(PinWrong):
            sign(ukey, WRONG, keep=keep)
        with pytest.raises(TryWithheld):
            sign(ukey, PIN, keep=keep)
        assert slot.card.state.pin.left == 1
    assert sign(ukey, PIN, keep=TryReserve.NONE)


@BUILDS
def test_a_blocked_pin_is_told_and_not_tried(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    slot.card.state.pin.left = 0
    assert ukey.pin_state(REF).locked
    slot.commands.clear()
    with pytest.raises(PinLocked):
        sign(ukey, keep=TryReserve.NONE)
    assert all(command[4:] == b"" for command in slot.commands if command[1] == VERIFY)


@BUILDS
def test_the_default_pin_is_told(tmp_path: Path, vendor: bool) -> None:
    ukey = recognised(insert(tmp_path, vendor=vendor, pin=None))
    assert ukey.pin_state(REF).default is vendor  # a plain card does not say


# -- changing and unblocking


@BUILDS
def test_changing_the_pin(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    with Secret(WRONG) as wrong, Secret(PIN) as old, Secret(NEW) as new:
        with pytest.raises(PinWrong):
            ukey.change_pin(REF, wrong, new, TryReserve.LAST)
        ukey.change_pin(REF, old, new, TryReserve.LAST)
    assert not slot.card.verified
    assert sign(ukey, NEW)


def test_a_plain_card_takes_digits_only(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False)
    ukey = recognised(slot)
    with Secret(PIN) as old, Secret(b"letters") as new, pytest.raises(PinRefused) as refused:
        ukey.change_pin(REF, old, new, TryReserve.LAST)
    assert refused.value.facts == {"minimum": 6, "maximum": 8}
    assert slot.card.state.pin.left == 3
    assert sign(ukey)


@BUILDS
def test_unblocking_with_the_puk(tmp_path: Path, vendor: bool) -> None:
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    slot.card.state.pin.left = 0
    with Secret(PUK) as puk, Secret(NEW) as new:
        ukey.unblock_pin(REF, puk, new)
    assert ukey.seen_pin == PinState(3, 3, False)
    assert sign(ukey, NEW)


@BUILDS
def test_the_last_try_of_the_puk_is_never_spent(tmp_path: Path, vendor: bool) -> None:
    """A plain card tells the PUK's tries only once one was wrong."""
    slot = insert(tmp_path, vendor=vendor)
    ukey = recognised(slot)
    assert ukey.pin_state(REF, admin=True) == PinState(3, 3, False, told=vendor)
    with Secret(b"87654321") as wrong, Secret(NEW) as new:
        for left in (2, 1):
            with pytest.raises(PinWrong) as error:
                ukey.unblock_pin(REF, wrong, new)
            assert error.value.facts["left"] == left
        assert ukey.pin_state(REF, admin=True).left == 1
        with pytest.raises(TryWithheld):
            ukey.unblock_pin(REF, wrong, new)
    assert slot.card.state.puk.left == 1


# -- making a pair


@pytest.mark.parametrize("management", [0x03, 0x08, 0x0A, 0x0C])
@pytest.mark.parametrize("algorithm", ["sm2", "p256", "rsa2048"])
def test_a_pair_is_made_with_the_management_key(
    tmp_path: Path, management: int, algorithm: str
) -> None:
    key = bytes(range(32))[: {0x03: 24, 0x08: 16, 0x0A: 24, 0x0C: 32}[management]]
    slot = insert(tmp_path, pairs={}, management=management, management_key=key)
    ukey = recognised(slot)
    ukey.configure({"new_pair": algorithm})
    with Secret(b"default") as wrong, pytest.raises(ManagementKeyWrong):
        ukey.generate(REF, wrong, TryReserve.LAST)
    for typed in (key.hex()[:-2], key.hex()[:-1] + "g"):
        with Secret(typed.encode()) as unfit, pytest.raises(ManagementKeyWrong):
            ukey.generate(REF, unfit, TryReserve.LAST)
    with Secret(key.hex().upper().encode()) as typed_key:
        made = ukey.generate(REF, typed_key, TryReserve.LAST)
    algorithms.check(made)
    assert made == ukey.public_key(REF) == recognised(slot).public_key(REF)
    assert sign(ukey)
    with Secret(key.hex().encode()) as again, pytest.raises(BadRequest, match="holds a key pair"):
        ukey.generate(REF, again, TryReserve.LAST)


def test_the_key_that_cards_are_shipped_with_has_a_word(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path, pairs={}))
    with Secret(b"default") as key:
        ukey.generate(KeyRef("piv", "9E"), key, TryReserve.LAST)
    assert ukey.key_use(KeyRef("piv", "9E")).needs_pin  # it was made so


def test_a_plain_card_makes_no_pair_that_it_could_not_show(tmp_path: Path) -> None:
    slot = insert(tmp_path, vendor=False, pairs={})
    ukey = recognised(slot)
    with Secret(MANAGEMENT) as key, pytest.raises(BadRequest, match="certificate"):
        ukey.generate(REF, key, TryReserve.LAST)
    assert GENERATE not in slot.instructions()


# -- what root is told


def test_what_the_use_of_a_pair_asks_for(tmp_path: Path) -> None:
    own = bytes(range(24))
    assert recognised(insert(tmp_path, management_key=own)).key_use(REF) == KeyUse()
    never = recognised(insert(tmp_path, pin_policy=1))
    assert not never.key_use(REF).needs_pin
    card_authentication = KeyRef("piv", "9E")
    for vendor in (True, False):
        ukey = recognised(insert(tmp_path, vendor=vendor, pairs={"9E": "p256"}))
        assert not ukey.key_use(card_authentication).needs_pin
    for policy in (2, 3):
        assert recognised(insert(tmp_path, touch_policy=policy)).key_use(REF).touch


def test_copies_and_what_cards_are_shipped_with_are_told(tmp_path: Path) -> None:
    assert recognised(insert(tmp_path)).key_use(REF).remarks == Remark.DEFAULT_MANAGEMENT_KEY
    safe = {"management_key": bytes(range(24))}
    assert recognised(insert(tmp_path, **safe)).key_use(REF).remarks == Remark.NONE
    assert recognised(insert(tmp_path, **safe, origin=2)).key_use(REF).remarks == Remark.IMPORTED
    shipped = recognised(insert(tmp_path, **safe, admin_pin=None))
    assert shipped.key_use(REF).remarks == Remark.DEFAULT_ADMIN_PIN


def test_a_finger_that_does_not_come(tmp_path: Path) -> None:
    slot = insert(tmp_path, touch_policy=2)
    ukey = recognised(slot)
    slot.card.finger = None
    with pytest.raises(NotTouched):
        sign(ukey)
    assert (slot.card.verified, slot.resets) == (False, 0)
    slot.card.finger = 0.1
    assert sign(ukey)
