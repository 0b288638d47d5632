# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Command APDUs, short and extended (ISO 7816-4, 5.1), BER-TLV, and the card's status words."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

CHAINED = 0x10
#: Bytes that a chain may bring together.
CHAIN_MAX = 4096


class SW(IntEnum):
    """SP 800-73-4, part 2, table 5."""

    DONE = 0x9000
    MORE_DATA = 0x6100
    WRONG_PIN = 0x63C0
    WRITE_FAILED = 0x6581
    WRONG_LENGTH = 0x6700
    NO_CHAINING = 0x6884
    SECURITY_STATUS = 0x6982
    BLOCKED = 0x6983
    CONDITIONS = 0x6985
    BAD_DATA = 0x6A80
    NOT_SUPPORTED = 0x6A81
    NO_OBJECT = 0x6A82
    NO_SPACE = 0x6A84
    BAD_P1P2 = 0x6A86
    NO_REFERENCE = 0x6A88
    UNKNOWN_INSTRUCTION = 0x6D00
    UNKNOWN_CLASS = 0x6E00


class Status(Exception):
    """Ends a command with a status word and no data."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


class Command(NamedTuple):
    """`le` is the longest answer that the command takes, 256 if it names none."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int


def parse(apdu: bytes, *, extended: bool) -> Command:
    """A short command, and where `extended` also an extended one. Any other length is 6700."""
    if len(apdu) < 4:
        raise Status(SW.WRONG_LENGTH)
    head, rest = apdu[:4], apdu[4:]
    data, le = b"", 256
    if len(rest) == 1:
        le = rest[0] or 256
    elif len(rest) >= 3 and rest[0] == 0:
        if not extended:
            raise Status(SW.WRONG_LENGTH)
        length, rest = int.from_bytes(rest[1:3], "big"), rest[3:]
        if not rest:
            le = length or 0x10000
        else:
            data, rest = rest[:length], rest[length:]
            if len(data) != length or len(rest) not in (0, 2):
                raise Status(SW.WRONG_LENGTH)
            le = (int.from_bytes(rest, "big") or 0x10000) if rest else 0x10000
    elif rest:
        length = rest[0]
        data, rest = rest[1 : 1 + length], rest[1 + length :]
        if not length or len(data) != length or len(rest) > 1:
            raise Status(SW.WRONG_LENGTH)
        le = (rest[0] or 256) if rest else 256
    return Command(head[0], head[1], head[2], head[3], data, le)


def tlv(tag: int, value: bytes) -> bytes:
    """One object, its length in the shortest form."""
    name = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    length = len(value)
    if length < 0x80:
        return name + bytes((length,)) + value
    if length < 0x100:
        return name + bytes((0x81, length)) + value
    return name + b"\x82" + length.to_bytes(2, "big") + value


def objects(data: bytes) -> dict[int, bytes]:
    """The objects of `data`, to its end. Anything malformed is 6A80."""
    return dict(_objects(data))


def _objects(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    try:
        while at < len(data):
            tag = data[at]
            at += 1
            if tag & 0x1F == 0x1F:
                while True:
                    tag = tag << 8 | data[at]
                    at += 1
                    if not data[at - 1] & 0x80:
                        break
            length = data[at]
            at += 1
            if length in (0x81, 0x82):
                size = length - 0x80
                length = int.from_bytes(data[at : at + size], "big")
                at += size
            elif length > 0x82:
                raise Status(SW.BAD_DATA)
            if at + length > len(data):
                raise Status(SW.BAD_DATA)
            yield tag, data[at : at + length]
            at += length
    except IndexError:
        raise Status(SW.BAD_DATA) from None
