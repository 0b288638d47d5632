# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Where ukeys of one kind differ, and which ukey differs how.

Never found out by trying: a PIN command with the wrong setting costs a try.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from keyservice.core.errors import ConfigurationError


class ByteOrder(StrEnum):
    """Of integers inside data."""

    LITTLE = "little"
    BIG = "big"


class MacLength(StrEnum):
    """The Lc that a PIN command's MAC is made over, where the command's own is 0016."""

    DATA = "data"  #: without the MAC: 0012
    COMMAND = "command"  #: with it: 0016
    SWAPPED = "swapped"  #: with it, low byte first: 1600


class ExpectedLength(StrEnum):
    """The Le of a command whose answer has a known length."""

    EXACT = "exact"
    ANY = "any"  #: 0000


class PinHash(StrEnum):
    """What makes a key of the padded PIN."""

    SHA1 = "sha1"
    SM3 = "sm3"


#: Bytes of an application's or a container's name.
NAME_LENGTHS = (32, 48)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How to speak with one ukey."""

    byte_order: ByteOrder = ByteOrder.LITTLE
    mac_length: MacLength = MacLength.DATA
    expected_length: ExpectedLength = ExpectedLength.EXACT
    pin_hash: PinHash = PinHash.SHA1
    name_length: int = 32

    def __post_init__(self) -> None:
        if self.name_length not in NAME_LENGTHS:
            raise ConfigurationError("A quirk's name_length is 32 or 48", key="quirks.name_length")


@dataclass(frozen=True, slots=True)
class QuirkRule:
    """`quirks` for the ukeys that fit all three patterns (shell globs, case matters)."""

    reader: str = "*"
    manufacturer: str = "*"
    serial: str = "*"
    quirks: Quirks = field(default_factory=Quirks)

    def fits(self, reader: str, manufacturer: str, serial: str) -> bool:
        return (
            fnmatchcase(reader, self.reader)
            and fnmatchcase(manufacturer, self.manufacturer)
            and fnmatchcase(serial, self.serial)
        )


def choose(rules: tuple[QuirkRule, ...], reader: str, manufacturer: str, serial: str) -> Quirks:
    """The quirks of the first rule that fits, the usual ones where none does."""
    for rule in rules:
        if rule.fits(reader, manufacturer, serial):
            return rule.quirks
    return Quirks()
