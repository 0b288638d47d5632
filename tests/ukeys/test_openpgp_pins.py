# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN, the admin PIN and the resetting code of OpenPGP cards, as they are and digested."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from keyservice.core.errors import PinLocked, PinRefused, PinWrong, TryWithheld, UkeyFailed
from keyservice.core.secret import Secret
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.openpgp.ukey import OpenPgp
from tests.openpgpcard.state import Password
from tests.pivcard.apdu import tlv

from .openpgp_desk import ADMIN, NEW, PIN, REF, WRONG, Slot, insert, recognised, sign

VERIFY, CHANGE = 0x20, 0x24
CODE = b"41516273"


def change(ukey: OpenPgp, old: bytes, new: bytes) -> None:
    with Secret(old) as old_pin, Secret(new) as new_pin:
        ukey.change_pin(REF, old_pin, new_pin, TryReserve.LAST)


def unblock(ukey: OpenPgp, admin: bytes, new: bytes = NEW) -> None:
    with Secret(admin) as admin_pin, Secret(new) as new_pin:
        ukey.unblock_pin(REF, admin_pin, new_pin)


# -- tries


def test_how_many_tries_there_are_is_learnt(tmp_path: Path) -> None:
    """No card tells its maximum: three are assumed, and more are believed once they are seen."""
    slot = insert(tmp_path, tries=8)
    slot.card.state.pw1.left = 2
    ukey = recognised(slot)
    assert ukey.pin_state(REF) == PinState(3, 2, default=False)
    assert sign(ukey)
    assert ukey.seen_pin == PinState(8, 8, default=False)
    slot.card.state.pw1.left = 2
    with pytest.raises(TryWithheld):
        sign(ukey, keep=TryReserve.RESERVE)


def test_a_card_that_claims_more_tries_after_a_wrong_pin_is_not_believed(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: (
        bytes.fromhex("007f7f7f0300039000") if command[:4] == b"\0\xca\0\xc4" else answer
    )
    with pytest.raises(PinWrong) as wrong:
        sign(ukey, WRONG)
    assert wrong.value.facts["left"] == 2


# -- lengths


def test_a_card_says_how_long_its_pin_may_be(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: (
        bytes.fromhex("00202020030003" + "9000") if command[:4] == b"\0\xca\0\xc4" else answer
    )
    with pytest.raises(PinRefused) as refused:
        sign(ukey, b"7" * 33)
    assert refused.value.facts == {"minimum": 6, "maximum": 32}
    assert all(command[4:] == b"" for command in slot.commands if command[1] == VERIFY)


def test_an_admin_pin_has_eight_characters(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    with pytest.raises(PinRefused) as refused:
        unblock(recognised(slot), b"1234567")
    assert refused.value.facts["minimum"] == 8
    assert slot.instructions() == []


# -- changing


def test_a_mistyped_old_pin_never_runs_over_into_the_new_one(tmp_path: Path) -> None:
    """The card takes old and new in one, and knows how long the old one is: after a digit too many
    it would keep that digit as the first one of the new PIN."""
    slot = insert(tmp_path)
    ukey = recognised(slot)
    with pytest.raises(PinWrong):
        change(ukey, PIN + b"7", NEW)
    assert CHANGE not in slot.instructions()
    assert slot.card.state.pw1.value == PIN
    change(ukey, PIN, NEW)
    assert not slot.card.verified
    assert sign(ukey, NEW)


# -- the PIN from the factory


def test_the_default_pin_is_known_once_it_was_right(tmp_path: Path) -> None:
    """No card says it."""
    slot = insert(tmp_path, pin=None)
    ukey = recognised(slot)
    assert not ukey.pin_state(REF).default
    with pytest.raises(PinWrong):
        sign(ukey, WRONG)
    assert not ukey.pin_state(REF).default
    assert sign(ukey, b"123456")
    assert ukey.seen_pin == PinState(3, 3, default=True)
    assert ukey.pin_state(REF).default
    change(ukey, b"123456", NEW)
    assert ukey.seen_pin == PinState(3, 3, default=False)


# -- unblocking


def test_unblocking_with_the_admin_pin(tmp_path: Path) -> None:
    slot = insert(tmp_path, reset_code=CODE)
    ukey = recognised(slot)
    slot.card.state.pw1.left = 0
    with pytest.raises(PinWrong):
        unblock(ukey, CODE)  # nobody tries what else it could be
    assert slot.card.state.resetting.left == 3
    unblock(ukey, ADMIN)
    assert not slot.card.verified
    assert ukey.seen_pin == PinState(3, 3, False)
    assert sign(ukey, NEW)


def test_unblocking_with_the_resetting_code(tmp_path: Path) -> None:
    slot = insert(tmp_path, reset_code=CODE)
    ukey = recognised(slot)
    ukey.configure({"unblock_with": "reset-code"})
    slot.card.state.pw1.left = 0
    assert ukey.pin_state(REF, admin=True) == PinState(3, 3, False)
    for left in (2, 1):
        with pytest.raises(PinWrong) as wrong:
            unblock(ukey, b"00000000")
        assert wrong.value.facts == {"left": left, "maximum": 3}
    with pytest.raises(TryWithheld):
        unblock(ukey, CODE)
    slot.card.state.resetting.left = 3
    unblock(ukey, CODE)
    assert not slot.card.verified
    assert slot.card.state.pw3.left == 3
    assert sign(ukey, NEW)


def test_a_resetting_code_that_is_not_set_is_told_as_locked(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path))
    ukey.configure({"unblock_with": "reset-code"})
    assert ukey.pin_state(REF, admin=True).locked
    with pytest.raises(PinLocked):
        unblock(ukey, CODE)


def test_a_mistyped_code_never_makes_another_pin_in_silence(tmp_path: Path) -> None:
    ukey = recognised(insert(tmp_path, reset_code=CODE))
    ukey.configure({"unblock_with": "reset-code"})
    with pytest.raises(UkeyFailed, match="not the new one that was typed"):
        unblock(ukey, CODE + b"7")


# -- PINs that the card gets as digests

COUNT = 100_000


def digested(pin: bytes, salt: bytes) -> bytes:
    """The iterated and salted S2K, in one line (RFC 4880, 3.7.1.3)."""
    one = salt + pin
    return hashlib.sha256((one * (COUNT // len(one) + 1))[:COUNT]).digest()


def with_digests(folder: Path, *, in_object: bool) -> Slot:
    slot = insert(folder, reset_code=CODE)
    state = slot.card.state
    salts = {0x84: b"saltuser", 0x85: b"saltcode", 0x86: b"saltadmn"}
    kdf = tlv(0x81, b"\x03") + tlv(0x82, b"\x08") + tlv(0x83, COUNT.to_bytes(4, "big"))
    kdf += b"".join(tlv(tag, salt) for tag, salt in salts.items())
    state.objects[0xF9] = tlv(0xF9, kdf) if in_object else kdf
    state.pw1 = Password(digested(PIN, salts[0x84]))
    state.resetting = Password(digested(CODE, salts[0x85]))
    state.pw3 = Password(digested(ADMIN, salts[0x86]))
    return slot


@pytest.mark.parametrize("in_object", [False, True])
def test_the_card_gets_digests_where_it_wants_these(tmp_path: Path, in_object: bool) -> None:
    slot = with_digests(tmp_path, in_object=in_object)
    ukey = recognised(slot)
    assert sign(ukey)
    with pytest.raises(PinWrong):
        sign(ukey, WRONG)
    change(ukey, PIN, NEW)
    assert sign(ukey, NEW)
    unblock(ukey, ADMIN, PIN)
    assert sign(ukey)
    ukey.configure({"unblock_with": "reset-code"})
    unblock(ukey, CODE)
    assert sign(ukey, NEW)
    typed = (PIN, NEW, ADMIN, CODE)
    assert not any(pin in command for command in slot.commands for pin in typed)


@pytest.mark.parametrize("kdf", [b"", bytes.fromhex("810100"), bytes.fromhex("f903810100")])
def test_cards_say_in_several_ways_that_they_want_none(tmp_path: Path, kdf: bytes) -> None:
    slot = insert(tmp_path)
    slot.card.state.objects[0xF9] = kdf
    assert sign(recognised(slot))


@pytest.mark.parametrize("sw", [0x6A88, 0x6A82, 0x6B00])
def test_a_card_that_knows_nothing_of_digests(tmp_path: Path, sw: int) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: (
        sw.to_bytes(2, "big") if command[:4] == b"\0\xca\0\xf9" else answer
    )
    assert sign(ukey)


@pytest.mark.parametrize(
    "kdf",
    [
        "810101",  # another algorithm
        "820108",  # none
        "810103820108",  # no count
        "810103820109830400001000840873616c7475736572",  # another digest
        "8101038201088304ffffffff840873616c7475736572",  # more than S2K can name
        "810103820108830400001000840473616c74",  # a salt of four bytes
    ],
)
def test_a_way_that_is_not_known_is_refused_and_nothing_sent(tmp_path: Path, kdf: str) -> None:
    slot = insert(tmp_path)
    slot.card.state.objects[0xF9] = bytes.fromhex(kdf)
    with pytest.raises(UkeyFailed):
        sign(recognised(slot))
    assert VERIFY not in slot.instructions()
