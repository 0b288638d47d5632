# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the configuration says of readers and the ukeys in them."""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.core import patterns
from keyservice.core.patterns import ANY, Piece

from .quirks import QuirkRule

#: Names that drivers of emulated readers give them (vsmartcard's vpcd; its USB/IP twin).
_VIRTUAL = ("Virtual PCD *", "Virtual Smart Card*", "VirtualSmartCard*", "vpcd*")

_HEX = Piece(frozenset("0123456789ABCDEF"))
#: A reader's name, as pcscd makes it: the driver's name for it, then the reader's and the slot's
#: number ("%s %02X %02X"), at most 127 bytes (MAX_READERNAME).
_NAME = (Piece(ANY), Piece(ANY, often=True), *(*patterns.text(" "), _HEX, _HEX) * 2)
_NAME_MAX = 127


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Which readers are used, and how long one operation may take."""

    operation_deadline: float = 10.0  #: seconds on the device, without queueing
    allow: tuple[str, ...] = ("*",)  #: shell globs over reader names, case matters
    deny: tuple[str, ...] = ()  #: wins over ``allow``
    usb: tuple[str, ...] = ("*",)  #: USB devices that users get no access to, as ``closes`` has it
    allow_virtual_readers: bool = False
    quirks: tuple[QuirkRule, ...] = ()

    def refuses(self, reader: str) -> bool:
        """Whether the reader is not to be touched."""
        if is_virtual(reader) and not self.allow_virtual_readers:
            return True
        denied = patterns.any_fits(self.deny, reader)
        return denied or not patterns.any_fits(self.allow, reader)

    def closes(self, usb: str) -> bool:
        """Whether people at the machine get no access to the USB device of a reader, `usb` being
        its vendor and product as ``vvvv:pppp``, in lower-case hexadecimal."""
        return patterns.any_fits(self.usb, usb)


def is_virtual(reader: str) -> bool:
    """Whether the reader is an emulated one, which proves nothing about somebody's presence."""
    return patterns.any_fits(_VIRTUAL, reader)


def can_fit(pattern: str) -> bool:
    """Whether `pattern` can fit the name of any reader."""
    return patterns.can_fit(pattern, (_NAME,), _NAME_MAX)
