# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the configuration says of readers and the ukeys in them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from .quirks import QuirkRule

#: Names that drivers of emulated readers give them (vsmartcard's vpcd; its USB/IP twin).
_VIRTUAL = ("Virtual PCD *", "Virtual Smart Card*", "VirtualSmartCard*", "vpcd*")


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
        return _any_fits(self.deny, reader) or not _any_fits(self.allow, reader)

    def closes(self, usb: str) -> bool:
        """Whether people at the machine get no access to the USB device of a reader, `usb` being
        its vendor and product as ``vvvv:pppp``, in lower-case hexadecimal."""
        return _any_fits(self.usb, usb)


def is_virtual(reader: str) -> bool:
    """Whether the reader is an emulated one, which proves nothing about somebody's presence."""
    return _any_fits(_VIRTUAL, reader)


def _any_fits(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
