# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""BER-TLV data objects (ISO/IEC 7816-4, 5.2.2, and X.690 as far as DER is the same)."""

from __future__ import annotations

from collections.abc import Iterator

from .iso7816 import ResponseError


def build(tag: int, value: bytes | bytearray) -> bytes:
    """One object: its tag of one to three bytes, its length in the shortest form, its value."""
    head = tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    length = len(value)
    if length < 0x80:
        return head + bytes((length,)) + value
    size = (length.bit_length() + 7) // 8
    return head + bytes((0x80 | size,)) + length.to_bytes(size, "big") + value


def parse(data: bytes) -> dict[int, bytes]:
    """The objects of `data`, to its last byte, by their tags; of two with one tag the first.

    Lengths may be in a longer form than needed. Raises :class:`ResponseError`.
    """
    found: dict[int, bytes] = {}
    for tag, value in sequence(data):
        found.setdefault(tag, value)
    return found


def sequence(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The objects of `data` in their order. Raises as :func:`parse`."""
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        length, at = _length(data, at)
        if at + length > len(data):
            raise ResponseError("A data object is cut off")
        yield tag, data[at : at + length]
        at += length


def only(data: bytes, tag: int) -> bytes:
    """The value of the one object that `data` is. Raises :class:`ResponseError`."""
    objects = list(sequence(data))
    if len(objects) != 1 or objects[0][0] != tag:
        raise ResponseError(f"The answer is not one data object {tag:X}")
    return objects[0][1]


def _tag(data: bytes, at: int) -> tuple[int, int]:
    tag = data[at]
    at += 1
    if tag in (0x00, 0xFF):
        raise ResponseError("What should be a data object is none")
    if tag & 0x1F == 0x1F:
        for _ in range(2):
            if at >= len(data):
                raise ResponseError("A data object is cut off")
            tag = tag << 8 | data[at]
            at += 1
            if not data[at - 1] & 0x80:
                return tag, at
        raise ResponseError("A data object's tag is too long")
    return tag, at


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ResponseError("A data object is cut off")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    size = first & 0x7F
    if not 1 <= size <= 3 or at + size > len(data):
        raise ResponseError("A data object's length makes no sense")
    return int.from_bytes(data[at : at + size], "big"), at + size
