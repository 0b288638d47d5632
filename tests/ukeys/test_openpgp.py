# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The driver of OpenPGP cards, on an emulated card: which commands it sends, what it makes of the
answers of cards that differ, and that nothing stays proven after an operation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyservice.core.errors import (
    BadRequest,
    NotTouched,
    PinWrong,
    UkeyFailed,
    UkeyRemoved,
    UkeyUnknown,
)
from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.ukeys import kinds
from keyservice.ukeys.base import KeyUse, Remark, TryReserve
from keyservice.ukeys.openpgp.ukey import OpenPgp
from tests.openpgpcard import attributes, keys
from tests.openpgpcard.card import Card
from tests.openpgpcard.state import AUTHENTICATION
from tests.pivcard import state as pivcard
from tests.pivcard.card import Card as PivCard
from tests.pivcard.state import StateFile as PivFile

from .openpgp_desk import (
    ADMIN,
    ALGORITHMS,
    PIN,
    REF,
    WRONG,
    insert,
    recognised,
    sign,
)
from .slot import CardSlot

SELECT, GET, GET_RESPONSE, VERIFY, KEY, AUTHENTICATE = 0xA4, 0xCA, 0xC0, 0x20, 0x47, 0x88
LOG_OUT = bytes.fromhex("0020ff82")
#: Ways in which cards differ, all of which must do.
DIFFERENT: dict[str, dict[str, Any]] = {
    "keeps the PIN": {"keeps_pin": True},
    "tells objects in 6E only": {"alone": False},
    "halves of 33 bytes": {"halves": 1},
    "counts tries": {"counts": True},
    "cannot log out": {"log_out": False},
    "short commands": {"extended": False},
    "answers SELECT": {"answers_select": True},
    "tells no origin": {"tells_origin": False},
    "no button": {"button": False},
}


# -- recognised


def test_a_card_without_the_application_is_left_alone(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    slot.spoil = lambda command, _: b"\x6a\x82"
    assert OpenPgp.recognise(slot) is None
    assert slot.instructions() == [SELECT]


def test_a_card_is_known_by_its_maker_and_number(tmp_path: Path) -> None:
    info = recognised(insert(tmp_path, serial="0005000012ab")).info()
    assert (info.kind, info.serial, info.label) == ("openpgp", "0005000012AB", "OpenPGP")
    assert info.manufacturer == "ZeitControl"
    assert recognised(insert(tmp_path, serial="fffe00000001")).info().manufacturer == ""


def test_a_card_that_was_terminated_is_none(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    slot.card.state.terminated = True
    assert OpenPgp.recognise(slot) is None


def test_another_card_in_its_place_gets_no_pin(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.card, slot.generation = insert(tmp_path).card, 1
    with pytest.raises(UkeyRemoved):
        sign(ukey)
    assert VERIFY not in slot.instructions()


class Both:
    """A card with both applications, as several makers sell them."""

    def __init__(self, folder: Path) -> None:
        file = PivFile(folder / "piv")
        file.create(pivcard.new(pairs={"9A": "p256"}))
        piv, openpgp = PivCard(file), insert(folder).card
        self._cards: dict[bytes, PivCard | Card] = {b"\xa0": piv, b"\xd2": openpgp}
        self._selected: PivCard | Card = piv

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[1] == SELECT:
            self._selected = self._cards.get(apdu[5:6], self._selected)
        return self._selected.transmit(apdu)

    def reset(self) -> None:
        for card in self._cards.values():
            card.reset()


@pytest.mark.parametrize(("wanted", "kind"), [("any", "piv"), ("openpgp", "openpgp")])
def test_a_card_of_several_kinds(tmp_path: Path, wanted: str, kind: str) -> None:
    slot = CardSlot[Both](Both(tmp_path))
    assert kinds.recognise(slot, {kinds.KIND: wanted}).info().kind == kind
    with pytest.raises(UkeyUnknown):
        kinds.recognise(slot, {kinds.KIND: "gmt0017"})


# -- cards that differ


@pytest.mark.parametrize("traits", DIFFERENT.values(), ids=DIFFERENT)
def test_it_signs_on_cards_that_differ(tmp_path: Path, traits: dict[str, Any]) -> None:
    slot = insert(tmp_path, **traits)
    ukey = recognised(slot)
    for _ in range(2):
        assert sign(ukey)
        assert not slot.card.verified
    with pytest.raises(PinWrong) as wrong:
        sign(ukey, WRONG)
    assert wrong.value.facts == {"left": 2, "maximum": 3}
    assert not slot.card.verified
    assert slot.resets == (0 if slot.card.state.traits.log_out else 3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_signs_with_each_algorithm(tmp_path: Path, algorithm: str) -> None:
    slot = insert(tmp_path, pairs={"AUT": algorithm})
    assert sign(recognised(slot))
    assert not slot.card.verified


def test_attributes_may_say_how_a_key_is_imported(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    slot.card.state.attributes[AUTHENTICATION] += b"\xff"
    assert sign(recognised(slot))


def test_a_key_that_cannot_sign_a_login_is_none(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    secp256k1 = bytes.fromhex("132b8104000a")
    slot.card.state.attributes[AUTHENTICATION] = secp256k1
    slot.card.state.fingerprints.clear()
    ukey = recognised(slot)
    assert not ukey.containers()[0].has_key
    with Secret(ADMIN) as admin, pytest.raises(BadRequest, match="holds a key pair"):
        ukey.generate(REF, admin, TryReserve.LAST)  # nor is it overwritten


# -- a login's commands


def test_the_commands_of_a_login(tmp_path: Path) -> None:
    """SELECT, tries, whether PINs are digested, the PIN, the signature, the log-out."""
    slot = insert(tmp_path)
    ukey = recognised(slot)
    assert sign(ukey)
    login = [SELECT, GET, GET, VERIFY, AUTHENTICATE, VERIFY]
    key = [KEY, GET, GET_RESPONSE]  # once per insertion
    assert slot.instructions() == [SELECT, *key, *login]
    assert sign(ukey)
    assert slot.instructions() == [SELECT, *login]


def test_the_pin_is_sent_as_it_is_in_its_mode_and_logged_out(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    assert sign(recognised(slot))
    verify = [command for command in slot.commands if command[1] == VERIFY]
    assert verify == [bytes.fromhex("0020008206") + PIN, LOG_OUT]


def test_rsa_is_given_a_digest_info_of_at_most_two_fifths(tmp_path: Path) -> None:
    slot = insert(tmp_path, pairs={"AUT": "rsa2048"})
    assert sign(recognised(slot))
    (asked,) = [command for command in slot.commands if command[1] == AUTHENTICATE]
    data = asked[5 : 5 + asked[4]]
    assert data.startswith(bytes.fromhex("3031300d0609608648016503040201"))
    assert len(data) == 51 <= 0.4 * 256


def test_a_pin_that_another_program_has_verified_helps_nobody(tmp_path: Path) -> None:
    slot = insert(tmp_path, keeps_pin=True)
    ukey = recognised(slot)
    assert slot.another_program(VERIFY, 0, 0x82, PIN) == 0x9000
    with pytest.raises(PinWrong):
        sign(ukey, WRONG)
    assert not slot.card.verified


def test_a_log_out_that_fails_ends_in_an_error(tmp_path: Path) -> None:
    """The transaction then resets the card (``transport.pcsc``)."""
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: b"\x6f\x00" if command == LOG_OUT else answer
    with pytest.raises(UkeyFailed):
        sign(ukey)


# -- a finger, and what root is told


def test_what_the_use_of_the_pair_asks_for(tmp_path: Path) -> None:
    assert recognised(insert(tmp_path)).key_use(REF) == KeyUse()
    for flag in (1, 2, 3, 4):
        assert recognised(insert(tmp_path, touch=flag)).key_use(REF).touch
    imported = recognised(insert(tmp_path, origin=2)).key_use(REF)
    assert imported.remarks == Remark.IMPORTED


@pytest.mark.parametrize("told", [b"\x66\x00", b"\x69\x82"], ids=["6600", "6982"])
def test_a_finger_that_does_not_come(tmp_path: Path, told: bytes) -> None:
    slot = insert(tmp_path, touch=1)
    ukey = recognised(slot)
    slot.card.finger = None
    slot.spoil = lambda command, answer: told if command[1] == AUTHENTICATE else answer
    with pytest.raises(NotTouched):
        sign(ukey)
    assert (slot.card.verified, slot.resets, slot.card.state.pw1.left) == (set(), 0, 3)


# -- a new pair


@pytest.mark.parametrize("algorithm", ["sm2", "p256", "p384", "rsa2048", "ed25519"])
@pytest.mark.parametrize("traits", [{}, {"alone": False, "halves": 1}], ids=["", "other"])
def test_a_pair_is_made_with_the_admin_pin(
    tmp_path: Path, algorithm: str, traits: dict[str, Any]
) -> None:
    slot = insert(tmp_path, pairs={}, **traits)
    ukey = recognised(slot)
    ukey.configure({"new_pair": algorithm})
    with Secret(b"00000000") as wrong, pytest.raises(PinWrong) as caught:
        ukey.generate(REF, wrong, TryReserve.LAST)
    assert caught.value.facts == {"left": 2, "maximum": 3}
    with Secret(ADMIN) as admin:
        made = ukey.generate(REF, admin, TryReserve.LAST)
    algorithms.check(made)
    assert made == ukey.public_key(REF) == recognised(slot).public_key(REF)
    assert sign(ukey)
    state = slot.card.state
    assert state.attributes[AUTHENTICATION] == attributes.NAMES[algorithm]
    assert any(state.fingerprints[AUTHENTICATION])  # so that gpg overwrites nothing unasked
    assert any(state.dates[AUTHENTICATION])
    assert set(state.fingerprints) == {AUTHENTICATION}


def test_a_slot_with_a_fingerprint_is_not_overwritten(tmp_path: Path) -> None:
    """Even if the card showed no key."""
    slot = insert(tmp_path, pairs={})
    slot.card.state.fingerprints[AUTHENTICATION] = b"\x01" * 20
    with Secret(ADMIN) as admin, pytest.raises(BadRequest, match="holds a key pair"):
        recognised(slot).generate(REF, admin, TryReserve.LAST)


def test_root_hears_of_the_admin_pin_from_the_factory(tmp_path: Path) -> None:
    slot = insert(tmp_path, pairs={}, admin_pin=None)
    ukey = recognised(slot)
    with Secret(b"12345678") as admin:
        ukey.generate(REF, admin, TryReserve.LAST)
    assert ukey.key_use(REF).remarks == Remark.DEFAULT_ADMIN_PIN


# -- answers that make no sense


def test_a_signature_that_is_out_of_form(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    ukey.public_key(REF)
    for signed in (b"", bytes(63), bytes(62), bytes(65), b"\x01" * 66, bytes(68), bytes(128)):

        def spoilt(command: bytes, right: bytes, signed: bytes = signed) -> bytes:
            return signed + b"\x90\0" if command[1] == AUTHENTICATE else right

        slot.spoil = spoilt
        with pytest.raises(UkeyFailed):
            sign(ukey)


def test_a_public_key_of_another_length_is_none(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    other = keys.generate(attributes.parse(attributes.NAMES["p384"], AUTHENTICATION))
    slot.card.state.slots[AUTHENTICATION].key = other
    with pytest.raises(UkeyFailed, match="none of its algorithm"):
        recognised(slot).public_key(REF)


def test_pins_in_blocks_are_refused_in_words(tmp_path: Path) -> None:
    slot = insert(tmp_path)
    ukey = recognised(slot)
    slot.spoil = lambda command, answer: (
        bytes.fromhex("00ff7f7f0300039000") if command[:4] == b"\0\xca\0\xc4" else answer
    )
    with pytest.raises(UkeyFailed, match="blocks of format 2"):
        sign(ukey)
    assert VERIFY not in slot.instructions()
