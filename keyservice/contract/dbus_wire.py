# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whole D-Bus messages out of a stream, with a bound: the code in front of both D-Bus libraries.

Anyone on the system bus may send anything to anyone they can name: a message of 128 MB, of a type
that does not exist, with any of countless signatures. Libraries parse all of it before they ask who
sent it. This code cuts a message out and reads its header without building anything. It skips one
that is too big as it arrives, so that the libraries see only what they asked for.

D-Bus specification 0.41, "Message Format". Both byte orders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

_START = 16  #: bytes up to the header fields: order, type, flags, version, 3 × u32
_VERSION = 1
#: Bytes of header fields that are kept of a message that is skipped, so that its sender can be
#: told. A name has at most 255 bytes, a header of ours a few hundred.
_HEAD_MAX = 4096


class WireError(Exception):
    """The stream is not one of D-Bus messages: the bus itself has failed."""


class MessageType(IntEnum):
    METHOD_CALL = 1
    METHOD_RETURN = 2
    ERROR = 3
    SIGNAL = 4


class _FieldCode(IntEnum):
    SENDER = 7
    SIGNATURE = 8


@dataclass(frozen=True, slots=True)
class Head:
    """What a message's header says. The bus daemon itself fills in `sender`."""

    type: int
    no_reply: bool
    serial: int
    sender: str
    signature: str


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message; `data` is None for one that is too big, or whose header cannot be read."""

    head: Head | None
    data: bytes | None


class Splitter:
    """Cuts messages out of what was received, none longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._skip = 0

    def feed(self, received: bytes) -> Iterator[RawMessage]:
        """The messages that `received` completes. Raises :class:`WireError`."""
        self._held += received
        while True:
            if self._skip:
                count = min(self._skip, len(self._held))
                del self._held[:count]
                self._skip -= count
            if self._skip or len(self._held) < _START:
                return
            order, body, fields = _start(self._held)
            head_end = _START + fields
            total = head_end + -fields % 8 + body
            if total <= self._limit:
                if len(self._held) < total:
                    return
                data = bytes(self._held[:total])
                del self._held[:total]
                yield RawMessage(_head(data, order, head_end), data)
                continue
            if head_end > _HEAD_MAX:
                self._skip = total
                yield RawMessage(None, None)
                continue
            if len(self._held) < head_end:
                return
            head = _head(bytes(self._held[:head_end]), order, head_end)
            self._skip = total
            yield RawMessage(head, None)


def _start(held: bytearray) -> tuple[str, int, int]:
    """(byte order for struct, bytes of the body, bytes of the header fields)."""
    order = {ord("l"): "<", ord("B"): ">"}.get(held[0])
    if order is None or held[3] != _VERSION:
        raise WireError("not a D-Bus message")
    body, _serial, fields = struct.unpack_from(f"{order}III", held, 4)
    return order, body, fields


def _head(data: bytes, order: str, end: int) -> Head | None:
    """The header's facts, None where it cannot be read. `end`: where the fields end."""
    (serial,) = struct.unpack_from(f"{order}I", data, 8)
    found = {_FieldCode.SENDER: "", _FieldCode.SIGNATURE: ""}
    at = _START
    try:
        while at < end:
            at += -at % 8
            code, length = data[at], data[at + 1]
            kind = data[at + 2 : at + 2 + length]
            at += 3 + length
            if kind in (b"s", b"o"):
                at += -at % 4
                (size,) = struct.unpack_from(f"{order}I", data, at)
                at += 4
            elif kind == b"g":
                size = data[at]
                at += 1
            elif kind == b"u":
                at += -at % 4 + 4
                continue
            else:
                return None
            if at + size >= end:  # with the NUL
                return None
            if code in found:
                found[_FieldCode(code)] = str(data[at : at + size], "utf-8")
            at += size + 1
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    return Head(
        data[1], bool(data[2] & 1), serial, found[_FieldCode.SENDER], found[_FieldCode.SIGNATURE]
    )
