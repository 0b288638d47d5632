# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""GET DATA and PUT DATA (SP 800-73-4, part 2, 3.1.2 and 3.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import apdu
from .apdu import SW, Command, Status, tlv
from .state import CCC, CERTIFICATES, CHUID

if TYPE_CHECKING:
    from .card import Card

_NAME, _CONTENT = 0x5C, 0x53
_DISCOVERY, _DISCOVERY_OBJECT = 0x7E, bytes.fromhex("4f0ba0000003080000100001005f2f024000")
_PRINTED = 0x5FC109
#: Printed information, fingerprints, face, iris: told after the PIN only (part 1, table 2).
_BEHIND_PIN = {_PRINTED, 0x5FC103, 0x5FC108, 0x5FC121}
#: Security object, key history.
_OTHERS = {0x5FC106, 0x5FC10C}
_STANDARD = {CHUID, CCC, *_BEHIND_PIN, *_OTHERS, *CERTIFICATES.values()}
_VENDOR = range(0x5FFF00, 0x5FFF20)


def _get(card: Card, command: Command) -> bytes:
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Status(SW.BAD_P1P2)
    tag = _tag(apdu.objects(command.data).get(_NAME, b""))
    if tag == _DISCOVERY:
        return tlv(_DISCOVERY, _DISCOVERY_OBJECT)
    if tag in _BEHIND_PIN and not card.verified:
        raise Status(SW.SECURITY_STATUS)
    content = card.state.objects.get(tag)
    if content is None:
        raise Status(SW.NO_OBJECT)
    return tlv(_CONTENT, content)


def _put(card: Card, command: Command) -> bytes:
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Status(SW.BAD_P1P2)
    if not card.managed:
        raise Status(SW.SECURITY_STATUS)
    given = apdu.objects(command.data)
    tag, content = _tag(given.get(_NAME, b"")), given.get(_CONTENT)
    if content is None:
        raise Status(SW.BAD_DATA)
    if tag not in _STANDARD and not (card.state.vendor and tag in _VENDOR):
        raise Status(SW.NOT_SUPPORTED)
    if content:
        card.state.objects[tag] = content
    else:
        card.state.objects.pop(tag, None)
    card.save()
    return b""


def _tag(name: bytes) -> int:
    if not 1 <= len(name) <= 3:
        raise Status(SW.BAD_DATA)
    return int.from_bytes(name, "big")


commands = {0xCB: _get, 0xDB: _put}
