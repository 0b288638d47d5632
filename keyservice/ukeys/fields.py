# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Messages between the service and its children: the sockets' frames, one per message of a
SOCK_SEQPACKET pair, and their fields checked to the last byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from keyservice.contract import frames
from keyservice.contract.names import FRAME_MAX
from keyservice.core.text import is_plain

MESSAGE_MAX = frames.HEADER.size + FRAME_MAX

Fields = Mapping[int, memoryview]


class WireError(Exception):
    """The other side does not keep to the form."""


def parse(message: bytearray) -> tuple[int, Fields]:
    """The kind and the fields, which are views into `message`: nothing is copied."""
    try:
        kind, length = frames.parse_header(message[: frames.HEADER.size])
        del message[: frames.HEADER.size]
        if length != len(message):
            raise WireError("a message of another length than it says")
        return kind, frames.parse_fields(message)
    except (frames.FrameError, struct.error) as error:
        raise WireError(str(error)) from None


def bytes_of(fields: Fields, tag: IntEnum) -> bytes:
    return bytes(fields.get(tag, b""))


def exactly(fields: Fields, tag: IntEnum, length: int) -> bytes:
    value = bytes_of(fields, tag)
    if len(value) != length:
        raise WireError(f"field {tag.name} has {len(value)} bytes, not {length}")
    return value


def some(fields: Fields, tag: IntEnum, limit: int) -> bytes:
    """Of one byte to `limit`."""
    value = bytes_of(fields, tag)
    if not 1 <= len(value) <= limit:
        raise WireError(f"field {tag.name} has {len(value)} bytes, not 1 to {limit}")
    return value


def number_of(fields: Fields, tag: IntEnum) -> int:
    return exactly(fields, tag, 1)[0]


def text_of(fields: Fields, tag: IntEnum) -> str:
    try:
        return bytes_of(fields, tag).decode()
    except UnicodeDecodeError:
        raise WireError(f"field {tag.name} is not UTF-8") from None


def plain_of(fields: Fields, tag: IntEnum, limit: int) -> str:
    """A text of at most `limit` bytes, which a terminal shows as it is."""
    text = text_of(fields, tag)
    if len(fields.get(tag, b"")) > limit or not is_plain(text):
        raise WireError(f"field {tag.name} is not plain text")
    return text
