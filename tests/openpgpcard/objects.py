# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""GET DATA, GET NEXT DATA, SELECT DATA and PUT DATA (7.2.5 to 7.2.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.pivcard.apdu import SW, Command, Status, tlv
from tests.pivcard.apdu import objects as parsed

from . import attributes
from .pins import PW1, PW1_SIGN, PW3
from .state import (
    DATE_BYTES,
    FACTORY_PW1,
    FACTORY_PW3,
    FINGERPRINT_BYTES,
    PIN_MAX,
    RC_MIN,
    SLOTS,
    Password,
    touch_object,
)

if TYPE_CHECKING:
    from .card import Card

#: 6: challenges, 5: import, 4: PW status changes, 3: private objects, 2: attributes change, 0: KDF.
_FLAGS = 0x7D
_CHALLENGE_MAX, _CERTIFICATE_MAX, _SPECIAL_MAX = 0xFF, 0x0800, 0xFF
_CERTIFICATES, _KDF = 0x7F21, 0xF9
#: Objects that hold what is put there: who may read and write each (4.4.1, 4.4.2).
_FREE = {0x5B: 39, 0x5F2D: 8, 0x5F35: 1, 0x5E: 254, 0x5F50: 254, 0xF9: 110}
_PRIVATE = {0x0101: PW1, 0x0102: PW3, 0x0103: PW1, 0x0104: PW3}
_PRIVATE_READ = {0x0103: PW1, 0x0104: PW3}
_PRIVATE_MAX = 254


def _tag(command: Command) -> int:
    return command.p1 << 8 | command.p2


def _get(card: Card, command: Command) -> bytes:
    tag = _tag(command)
    wanted = _PRIVATE_READ.get(tag)
    if wanted is not None and wanted not in card.verified:
        raise Status(SW.SECURITY_STATUS)
    if tag == _CERTIFICATES:
        return card.state.certificates.get(card.occurrence, b"")
    if tag in _FREE or tag in _PRIVATE:
        return card.state.objects.get(tag, b"")
    told = _TOLD.get(tag)
    if told is None or (tag in _INNER and not card.state.traits.alone):
        raise Status(SW.NO_REFERENCE)
    return told(card)


def _get_next(card: Card, command: Command) -> bytes:
    if _tag(command) != _CERTIFICATES:
        raise Status(SW.BAD_P1P2)
    card.occurrence += 1
    if card.occurrence >= len(SLOTS):
        raise Status(SW.NO_REFERENCE)
    return card.state.certificates.get(card.occurrence, b"")


def _select_data(card: Card, command: Command) -> bytes:
    if command.p2 != 0x04 or command.p1 >= len(SLOTS):
        raise Status(SW.BAD_P1P2)
    if parsed(command.data).get(0x60) != tlv(0x5C, _CERTIFICATES.to_bytes(2, "big")):
        raise Status(SW.NO_REFERENCE)
    card.occurrence = command.p1
    return b""


def _status(card: Card) -> bytes:
    """C4 (4.4.3.7)."""
    state = card.state
    lefts = (state.pw1.left, state.resetting.left, state.pw3.left)
    return bytes((state.signs_often, PIN_MAX, PIN_MAX, PIN_MAX, *lefts))


def _capabilities(card: Card) -> bytes:
    """C0 (4.4.3.7)."""
    sizes = (_CHALLENGE_MAX, _CERTIFICATE_MAX, _SPECIAL_MAX)
    lengths = b"".join(size.to_bytes(2, "big") for size in sizes)
    return bytes((_FLAGS, 0)) + lengths + bytes(2)


def _historical(card: Card) -> bytes:
    """6.1: what SELECT can do, chaining, extended lengths; in use."""
    third = 0xC0 if card.state.traits.extended else 0x80
    return bytes.fromhex("0031f573c001") + bytes((third,)) + bytes.fromhex("059000")


def _origins(card: Card) -> bytes:
    slots = card.state.slots
    return b"".join(bytes((s, slots[s].origin if s in slots else 0)) for s in SLOTS)


def _of_slots(values: dict[int, bytes], size: int) -> bytes:
    return b"".join(values.get(slot, bytes(size)) for slot in SLOTS)


def _discretionary(card: Card) -> bytes:
    tags = [*range(0xC0, 0xC8), 0xCD]
    tags = [tag for tag in tags if tag != 0xC7]
    if card.state.traits.tells_origin:
        tags.append(0xDE)
    if card.state.traits.button:
        tags += [0xD6, 0xD7, 0xD8]
    return tlv(0x73, b"".join(tlv(tag, _TOLD[tag](card)) for tag in tags))


def _application(card: Card) -> bytes:
    """6E."""
    told = tlv(0x4F, card.state.aid) + tlv(0x5F52, _historical(card))
    if card.state.traits.button:
        told += tlv(0x7F74, bytes.fromhex("810120"))
    if card.state.traits.extended:
        told += tlv(0x7F66, bytes.fromhex("0202080002020800"))
    return tlv(0x6E, told + _discretionary(card))


def _holder(card: Card) -> bytes:
    told = (tlv(tag, card.state.objects.get(tag, b"")) for tag in (0x5B, 0x5F2D, 0x5F35))
    return tlv(0x65, b"".join(told))


def _touch(slot: int) -> Callable[[Card], bytes]:
    def told(card: Card) -> bytes:
        if not card.state.traits.button:
            raise Status(SW.NO_REFERENCE)
        return touch_object(card.state.touch[slot])

    return told


def _attributes(slot: int) -> Callable[[Card], bytes]:
    return lambda card: card.state.attributes[slot]


_TOLD: dict[int, Callable[[Card], bytes]] = {
    0x4F: lambda card: card.state.aid,
    0x5F52: _historical,
    0x65: _holder,
    0x6E: _application,
    0x73: _discretionary,
    0x7A: lambda card: tlv(0x7A, tlv(0x93, card.state.counter.to_bytes(3, "big"))),
    0x7F74: lambda card: bytes.fromhex("810120"),
    0xC0: _capabilities,
    0xC1: _attributes(1),
    0xC2: _attributes(2),
    0xC3: _attributes(3),
    0xC4: _status,
    0xC5: lambda card: _of_slots(card.state.fingerprints, FINGERPRINT_BYTES),
    0xC6: lambda card: card.state.objects.get(0xC6, bytes(3 * FINGERPRINT_BYTES)),
    0xCD: lambda card: _of_slots(card.state.dates, DATE_BYTES),
    0xDE: _origins,
    0xD6: _touch(1),
    0xD7: _touch(2),
    0xD8: _touch(3),
}
#: Those that a card may tell in 6E only; C4 is told by every one.
_INNER = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xCD, 0xDE, 0x73}


def _put(card: Card, command: Command) -> bytes:
    tag, data, state = _tag(command), command.data, card.state
    wanted = {_PRIVATE.get(tag, PW3)} | ({PW1_SIGN} if _PRIVATE.get(tag) == PW1 else set())
    if not wanted & card.verified:
        raise Status(SW.SECURITY_STATUS)
    if tag == _CERTIFICATES:
        _check(len(data) <= _CERTIFICATE_MAX)
        state.certificates[card.occurrence] = data
    elif tag in _FREE or tag in _PRIVATE:
        _check(len(data) <= _FREE.get(tag, _PRIVATE_MAX))
        state.objects[tag] = data
        if tag == _KDF:
            _renew_passwords(card, data)
    elif tag in (0xC1, 0xC2, 0xC3):
        _put_attributes(card, tag - 0xC0, data)
    elif tag == 0xC4:
        _check(len(data) == 1 and data[0] <= 1)
        state.signs_often = bool(data[0])
    elif 0xC7 <= tag <= 0xC9:
        _check(len(data) == FINGERPRINT_BYTES)
        state.fingerprints[tag - 0xC6] = data
    elif 0xCA <= tag <= 0xCC:
        _check(len(data) == FINGERPRINT_BYTES)
        at = (tag - 0xCA) * FINGERPRINT_BYTES
        before = state.objects.get(0xC6, bytes(3 * FINGERPRINT_BYTES))
        state.objects[0xC6] = before[:at] + data + before[at + FINGERPRINT_BYTES :]
    elif 0xCE <= tag <= 0xD0:
        _check(len(data) == DATE_BYTES)
        state.dates[tag - 0xCD] = data
    elif tag == 0xD3:
        _check(not data or RC_MIN <= len(data) <= PIN_MAX)
        maximum = state.resetting.maximum
        state.resetting = Password(data, maximum, maximum if data else 0)
    elif 0xD6 <= tag <= 0xD8 and state.traits.button:
        _check(len(data) == 2 and data[0] <= 4)
        state.touch[tag - 0xD5] = data[0]
    else:
        raise Status(SW.NO_REFERENCE)
    card.save()
    return b""


def _put_attributes(card: Card, slot: int, data: bytes) -> None:
    """A key of another algorithm is gone."""
    attributes.parse(data, slot)
    if data != card.state.attributes[slot]:
        card.state.attributes[slot] = data
        card.state.slots.pop(slot, None)
        card.state.fingerprints.pop(slot, None)
        card.state.dates.pop(slot, None)


def _renew_passwords(card: Card, kdf: bytes) -> None:
    """With another way to give PINs, both are those from the factory, as 87 and 88 have them."""
    told = parsed(kdf)
    card.state.pw1.value = told.get(0x87, FACTORY_PW1)
    card.state.pw3.value = told.get(0x88, FACTORY_PW3)


def _check(right: bool) -> None:
    if not right:
        raise Status(SW.WRONG_LENGTH)


commands = {0xCA: _get, 0xCC: _get_next, 0xA5: _select_data, 0xDA: _put}
