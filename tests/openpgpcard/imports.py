# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PUT DATA with odd instruction: a key pair that somebody else has made (4.4.3.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pivcard.apdu import SW, Command, Status
from tests.pivcard.apdu import objects as parsed

from . import attributes, keys
from .pins import PW3
from .state import IMPORTED, Slot

if TYPE_CHECKING:
    from .card import Card

#: Control reference templates of the slots (7.2.14).
TEMPLATES = {0xB6: 1, 0xB8: 2, 0xA4: 3}
_LIST, _SIZES, _PARTS = 0x4D, 0x7F48, 0x5F48


def _import(card: Card, command: Command) -> bytes:
    if (command.p1, command.p2) != (0x3F, 0xFF):
        raise Status(SW.BAD_P1P2)
    if PW3 not in card.verified:
        raise Status(SW.SECURITY_STATUS)
    given = parsed(parsed(command.data).get(_LIST, b""))
    named = [slot for tag, slot in TEMPLATES.items() if tag in given]
    if len(named) != 1 or _SIZES not in given or _PARTS not in given:
        raise Status(SW.BAD_DATA)
    of = attributes.parse(card.state.attributes[named[0]], named[0])
    parts = _parts(given[_SIZES], given[_PARTS])
    card.state.slots[named[0]] = Slot(keys.imported(of, parts), IMPORTED)
    if named[0] == 1:
        card.state.counter = 0
    card.save()
    return b""


def _parts(sizes: bytes, joined: bytes) -> dict[int, bytes]:
    """`sizes` has tags and lengths, without the values, which `joined` has."""
    found: dict[int, bytes] = {}
    at = place = 0
    try:
        while at < len(sizes):
            tag, length = sizes[at], sizes[at + 1]
            at += 2
            if length in (0x81, 0x82):
                more = length - 0x80
                length = int.from_bytes(sizes[at : at + more], "big")
                at += more
            found[tag] = joined[place : place + length]
            place += length
    except IndexError:
        raise Status(SW.BAD_DATA) from None
    if place != len(joined):
        raise Status(SW.BAD_DATA)
    return found


commands = {0xDB: _import}
