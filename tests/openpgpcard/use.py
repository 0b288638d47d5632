# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a card does with its key pairs: GENERATE ASYMMETRIC KEY PAIR, PERFORM SECURITY OPERATION,
INTERNAL AUTHENTICATE, GET CHALLENGE (7.2.10 to 7.2.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pivcard.apdu import SW, Command, Status, tlv
from tests.pivcard.apdu import objects as parsed

from . import attributes, keys
from .imports import TEMPLATES
from .pins import PW1, PW1_SIGN, PW3
from .state import AUTHENTICATION, DECRYPTION, SIGNATURE, Slot

if TYPE_CHECKING:
    from .card import Card

#: Seconds for which the card waits for a finger, and what it says then (7, "reserved for UIF").
TOUCH_SECONDS = 15.0
NOT_TOUCHED = 0x6600
_MAKE, _READ = 0x80, 0x81
_CHALLENGE_MAX = 0xFF


def _generate(card: Card, command: Command) -> bytes:
    if command.p2 or command.p1 not in (_MAKE, _READ):
        raise Status(SW.BAD_P1P2)
    slots = [TEMPLATES[tag] for tag in parsed(command.data) if tag in TEMPLATES]
    if len(slots) != 1:
        raise Status(SW.BAD_DATA)
    slot = slots[0]
    if command.p1 == _MAKE:
        if PW3 not in card.verified:
            raise Status(SW.SECURITY_STATUS)
        of = attributes.parse(card.state.attributes[slot], slot)
        card.state.slots[slot] = Slot(keys.generate(of))
        if slot == SIGNATURE:
            card.state.counter = 0
        card.save()
    return tlv(0x7F49, _slot(card, slot).key.public())


def _perform(card: Card, command: Command) -> bytes:
    """COMPUTE DIGITAL SIGNATURE, with PW1 in mode 81, and DECIPHER, in mode 82."""
    if (command.p1, command.p2) == (0x9E, 0x9A):
        slot = _slot(card, SIGNATURE)
        _require(card, PW1_SIGN)
        _await_finger(card, SIGNATURE)
        signed = slot.key.sign(command.data)
        card.state.counter += 1
        if not card.state.signs_often:
            card.verified.discard(PW1_SIGN)
        card.save()
        return _in_halves(card, SIGNATURE, signed)
    if (command.p1, command.p2) == (0x80, 0x86):
        slot = _slot(card, DECRYPTION)
        _require(card, PW1)
        _await_finger(card, DECRYPTION)
        given = command.data
        if given[:1] == b"\xa6":
            given = parsed(parsed(parsed(given)[0xA6]).get(0x7F49, b"")).get(0x86, b"")
        return slot.key.decipher(given)
    raise Status(SW.BAD_P1P2)


def _authenticate(card: Card, command: Command) -> bytes:
    if command.p1 or command.p2:
        raise Status(SW.BAD_P1P2)
    slot = _slot(card, AUTHENTICATION)
    _require(card, PW1)
    _await_finger(card, AUTHENTICATION)
    return _in_halves(card, AUTHENTICATION, slot.key.sign(command.data))


def _challenge(card: Card, command: Command) -> bytes:
    if command.p1 or command.p2 or command.data:
        raise Status(SW.BAD_P1P2)
    return card.random(min(command.le, _CHALLENGE_MAX))


def _slot(card: Card, number: int) -> Slot:
    slot = card.state.slots.get(number)
    if slot is None:
        raise Status(SW.NO_REFERENCE)
    return slot


def _require(card: Card, mode: int) -> None:
    if mode not in card.verified:
        raise Status(SW.SECURITY_STATUS)


def _await_finger(card: Card, slot: int) -> None:
    if not card.state.touch[slot] or not card.state.traits.button:
        return
    if card.finger is None or card.finger > TOUCH_SECONDS:
        card.delay = TOUCH_SECONDS
        raise Status(NOT_TOUCHED)
    card.delay = card.finger


def _in_halves(card: Card, slot: int, signed: bytes) -> bytes:
    """r ‖ s; some cards put zeros before each."""
    zeros = bytes(card.state.traits.halves)
    if not zeros or card.state.attributes[slot][0] != attributes.ECDSA:
        return signed
    half = len(signed) // 2
    return zeros + signed[:half] + zeros + signed[half:]


commands = {0x47: _generate, 0x2A: _perform, 0x88: _authenticate, 0x84: _challenge}
