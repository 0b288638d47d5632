# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the vendor's build has beside the standard: the instructions that ykman and
yubico-piv-tool send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import apdu, keys, pins
from .apdu import SW, Command, Status, tlv
from .state import (
    ATTESTATION_SLOT,
    CERTIFICATES,
    FACTORY_MANAGEMENT_KEY,
    IMPORTED,
    MANAGEMENT,
    TOUCH_NEVER,
    Reference,
    Slot,
)
from .use import MANAGEMENT_KEY, check_management_key, read_policies

if TYPE_CHECKING:
    from .card import Card


def _version(card: Card, command: Command) -> bytes:
    return bytes(card.state.version)


def _serial(card: Card, command: Command) -> bytes:
    return card.state.number.to_bytes(4, "big")


def _metadata(card: Card, command: Command) -> bytes:
    """Of a PIN, of the management key, or of a key pair."""
    state = card.state
    if command.p2 in (pins.PIN, pins.PUK):
        reference = state.pin if command.p2 == pins.PIN else state.puk
        tries = bytes((reference.maximum, reference.left))
        return tlv(0x01, b"\xff") + _default(reference.is_default) + tlv(0x06, tries)
    if command.p2 == MANAGEMENT_KEY:
        default = state.management_key == (FACTORY_MANAGEMENT_KEY * 2)[: len(state.management_key)]
        algorithm = bytes((state.management_algorithm,))
        return tlv(0x01, algorithm) + tlv(0x02, bytes((0, TOUCH_NEVER))) + _default(default)
    slot = state.slots.get(command.p2)
    if slot is None:
        raise Status(SW.NO_REFERENCE)
    told = tlv(0x01, bytes((slot.algorithm,)))
    told += tlv(0x02, bytes((slot.pin_policy, slot.touch_policy)))
    return told + tlv(0x03, bytes((slot.origin,))) + tlv(0x04, slot.key.public())


def _default(is_default: bool) -> bytes:
    return tlv(0x05, bytes((is_default,)))


def _set_management_key(card: Card, command: Command) -> bytes:
    """``00 FF FF FF: algorithm, 9B, length, key``; P2 FE demands touch."""
    if command.p1 != 0xFF or command.p2 not in (0xFF, 0xFE):
        raise Status(SW.BAD_P1P2)
    if not card.managed:
        raise Status(SW.SECURITY_STATUS)
    algorithm, reference, length, *key = command.data
    if reference != MANAGEMENT_KEY or length != len(key) or command.p2 == 0xFE:
        raise Status(SW.BAD_DATA)
    check_management_key(algorithm, bytes(key))
    card.state.management_algorithm, card.state.management_key = algorithm, bytes(key)
    card.save()
    return b""


def _import(card: Card, command: Command) -> bytes:
    """``00 FE ALG SLOT``: a key pair that somebody else has made."""
    if command.p2 not in CERTIFICATES:
        raise Status(SW.BAD_P1P2)
    if not card.managed:
        raise Status(SW.SECURITY_STATUS)
    given = apdu.objects(command.data)
    algorithm, (pin, touch) = read_policies(card, command.p2, given, command.p1)
    made = keys.imported(algorithm, given)
    card.state.slots[command.p2] = Slot(algorithm, made, pin, touch, IMPORTED)
    card.save()
    return b""


def _set_tries(card: Card, command: Command) -> bytes:
    """``00 FA PIN PUK``: how many tries each has; both are what the factory had set, then."""
    if not card.managed or not card.verified:
        raise Status(SW.SECURITY_STATUS)
    for reference, count in ((card.state.pin, command.p1), (card.state.puk, command.p2)):
        if not count:
            raise Status(SW.BAD_P1P2)
        reference.value = reference.default
        reference.maximum = reference.left = count
    card.save()
    return b""


def _factory(card: Card, command: Command) -> bytes:
    """``00 FB``: as from the factory, once PIN and PUK are both blocked. Slot F9 stays."""
    state = card.state
    if state.pin.left or state.puk.left:
        raise Status(SW.CONDITIONS)
    state.pin = Reference(state.pin.default, state.pin.default)
    state.puk = Reference(state.puk.default, state.puk.default)
    size = MANAGEMENT[state.management_algorithm]
    state.management_key = (FACTORY_MANAGEMENT_KEY * 2)[:size]
    for reference, tag in CERTIFICATES.items():
        if reference != ATTESTATION_SLOT:
            state.slots.pop(reference, None)
            state.objects.pop(tag, None)
    card.save()
    card.managed = card.verified = False
    return b""


commands = {
    0xFD: _version,
    0xF8: _serial,
    0xF7: _metadata,
    0xFF: _set_management_key,
    0xFE: _import,
    0xFA: _set_tries,
    0xFB: _factory,
}
