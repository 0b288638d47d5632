# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""GENERAL AUTHENTICATE and GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4, part 2, 3.2.4 and 3.3.2)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from . import apdu, keys
from .apdu import SW, Command, Status, tlv
from .keys import STANDARD, VENDORS
from .state import (
    ATTESTATION_SLOT,
    CERTIFICATES,
    MANAGEMENT,
    PIN_ALWAYS,
    PIN_NEVER,
    TOUCH_NEVER,
    Slot,
    default_policy,
)

if TYPE_CHECKING:
    from .card import Card

MANAGEMENT_KEY = 0x9B
#: Seconds for which the card waits for a finger.
TOUCH_SECONDS = 15.0
_TEMPLATE, _WITNESS, _CHALLENGE, _RESPONSE = 0x7C, 0x80, 0x81, 0x82
_3DES = 0x03


def _authenticate(card: Card, command: Command) -> bytes:
    template = apdu.objects(command.data).get(_TEMPLATE)
    if template is None:
        raise Status(SW.BAD_DATA)
    given = apdu.objects(template)
    if command.p2 == MANAGEMENT_KEY:
        return _prove_management(card, command.p1 or _3DES, given)
    slot = card.state.slots.get(command.p2)
    if slot is None or command.p2 == ATTESTATION_SLOT:  # that one signs nothing else
        raise Status(SW.NO_REFERENCE)
    if command.p1 != slot.algorithm:
        raise Status(SW.BAD_P1P2)
    if given.get(_RESPONSE) != b"" or _CHALLENGE not in given:
        raise Status(SW.BAD_DATA)
    fresh, card.fresh = card.fresh, False
    if slot.pin_policy == PIN_ALWAYS and not fresh:
        raise Status(SW.SECURITY_STATUS)
    if slot.pin_policy != PIN_NEVER and not card.verified:
        raise Status(SW.SECURITY_STATUS)
    _await_finger(card, slot)
    data = given[_CHALLENGE]
    if slot.algorithm == keys.Algorithm.ED25519 and card.first_bytes_only:
        data = data[:32]
    return tlv(_TEMPLATE, tlv(_RESPONSE, slot.key.sign(data)))


def _await_finger(card: Card, slot: Slot) -> None:
    if slot.touch_policy == TOUCH_NEVER:
        return
    if card.finger is None or card.finger > TOUCH_SECONDS:
        card.delay = TOUCH_SECONDS
        raise Status(SW.SECURITY_STATUS)
    card.delay = card.finger


def _prove_management(card: Card, algorithm: int, given: dict[int, bytes]) -> bytes:
    """Of the host alone (81 asks for a challenge, 82 answers it), or mutual (80 asks for a witness,
    80 and 81 answer it and ask back)."""
    if algorithm != card.state.management_algorithm:
        raise Status(SW.BAD_P1P2)
    size = 8 if algorithm == _3DES else 16
    challenge, card.challenge = card.challenge, b""
    witness, card.witness = card.witness, b""
    if given.get(_CHALLENGE) == b"":
        card.challenge = card.random(size)
        return tlv(_TEMPLATE, tlv(_CHALLENGE, card.challenge))
    if given.get(_WITNESS) == b"":
        card.witness = card.random(size)
        return tlv(_TEMPLATE, tlv(_WITNESS, _encrypt(card, card.witness)))
    card.managed = False
    if challenge and _RESPONSE in given:
        if not hmac.compare_digest(_encrypt(card, challenge), given[_RESPONSE]):
            raise Status(SW.SECURITY_STATUS)
        card.managed = True
        return b""
    if witness and len(given.get(_CHALLENGE, b"")) == size:
        if not hmac.compare_digest(witness, given.get(_WITNESS, b"")):
            raise Status(SW.SECURITY_STATUS)
        card.managed = True
        return tlv(_TEMPLATE, tlv(_RESPONSE, _encrypt(card, given[_CHALLENGE])))
    raise Status(SW.BAD_DATA)


def _encrypt(card: Card, block: bytes) -> bytes:
    key = card.state.management_key
    des = card.state.management_algorithm == _3DES
    cipher = algorithms.TripleDES(key) if des else algorithms.AES(key)
    encryptor = Cipher(cipher, modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _generate(card: Card, command: Command) -> bytes:
    if command.p1 or command.p2 not in CERTIFICATES:
        raise Status(SW.BAD_P1P2)
    if command.p2 == ATTESTATION_SLOT and not card.state.vendor:
        raise Status(SW.BAD_P1P2)
    if not card.managed:
        raise Status(SW.SECURITY_STATUS)
    control = apdu.objects(apdu.objects(command.data).get(0xAC, b""))
    algorithm, policies = read_policies(card, command.p2, control)
    made = keys.generate(algorithm)
    card.state.slots[command.p2] = Slot(algorithm, made, *policies)
    card.save()
    return tlv(0x7F49, made.public())


def read_policies(
    card: Card, slot: int, given: dict[int, bytes], algorithm: int | None = None
) -> tuple[int, tuple[int, int]]:
    """The algorithm and the policies for PIN and touch; policies can be named to the vendor's."""
    name = given.get(0x80, b"") if algorithm is None else bytes((algorithm,))
    if len(name) != 1 or name[0] not in (VENDORS if card.state.vendor else STANDARD):
        raise Status(SW.BAD_DATA)
    pin, touch = given.get(0xAA, b"\0"), given.get(0xAB, b"\0")
    if len(pin) != 1 or len(touch) != 1 or pin[0] > 3 or touch[0] > 3:
        raise Status(SW.BAD_DATA)
    if (pin[0] or touch[0]) and not card.state.vendor:
        raise Status(SW.BAD_DATA)
    return name[0], (pin[0] or default_policy(slot), touch[0] or TOUCH_NEVER)


def check_management_key(algorithm: int, key: bytes) -> None:
    if MANAGEMENT.get(algorithm) != len(key):
        raise Status(SW.BAD_DATA)


commands = {0x87: _authenticate, 0x47: _generate}
