# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Command APDUs in extended length (ISO 7816-4, 5.1) and the status words of the ukey."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

#: Le ``00 00``: as many bytes as there are
LE_ANY = 0x10000


class SW(IntEnum):
    """Status words. 63CX carries the tries left, 6CXX and 61XX a length."""

    DONE = 0x9000
    MORE_DATA = 0x6100
    WRONG_KEY = 0x63C0
    WRITE_FAILED = 0x6581
    WRONG_LENGTH = 0x6700
    SECURITY_STATE = 0x6982
    LOCKED = 0x6983
    NO_CHALLENGE = 0x6984
    CONDITIONS = 0x6985
    NOT_OPEN = 0x698A
    BAD_DATA = 0x6A80
    NO_SPACE = 0x6A84
    BAD_P1P2 = 0x6A86
    APPLICATION_EXISTS = 0x6A89
    ALREADY_OPEN = 0x6A8A
    NAME_NOT_FOUND = 0x6A8B
    CONTAINER_NAME_NOT_FOUND = 0x6A91
    BAD_CONTAINER = 0x6A94
    NO_KEY_PAIR = 0x6A95
    SIGNATURE_WRONG = 0x6A98
    WRONG_LE = 0x6C00
    UNKNOWN_INSTRUCTION = 0x6D00
    UNKNOWN_CLASS = 0x6E00
    CONTAINER_EXISTS = 0x6E02
    INTERNAL = 0x6F00


class Status(Exception):
    """Ends a command with a status word and no data."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


class Command(NamedTuple):
    """A parsed command. `le` is None where the command expects no data, LE_ANY for ``00 00``."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None


def parse(apdu: bytes) -> Command:
    """``CLA INS P1 P2 | 00 LcH LcL | data | [LeH LeL]``; without data ``… | 00 LeH LeL``.

    Ukeys of this kind take extended lengths only; a short form is 6700, as is a length that
    disagrees with the bytes that came.
    """
    total = len(apdu)
    if total == 4:
        return Command(apdu[0], apdu[1], apdu[2], apdu[3], b"", None)
    if total < 7 or apdu[4]:
        raise Status(SW.WRONG_LENGTH)
    length = apdu[5] << 8 | apdu[6]
    if total == 7:
        return Command(apdu[0], apdu[1], apdu[2], apdu[3], b"", length or LE_ANY)
    end = 7 + length
    if not length or total not in (end, end + 2):
        raise Status(SW.WRONG_LENGTH)
    le = None if total == end else (apdu[end] << 8 | apdu[end + 1]) or LE_ANY
    return Command(apdu[0], apdu[1], apdu[2], apdu[3], apdu[7:end], le)
