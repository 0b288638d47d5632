# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the watcher tells the service."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from keyservice.contract import frames
from keyservice.transport.state import ReaderState
from keyservice.ukeys.fields import WireError, parse

#: As many readers as pcsc-lite knows at most.
READERS_MAX = 16


class Kind(IntEnum):
    """The kinds of messages."""

    READERS = 0x50
    NO_PCSCD = 0x51


def build_readers(readers: Iterable[ReaderState]) -> bytearray:
    """The message that these are all readers, at most 16."""
    fields = {}
    for index, reader in enumerate(readers):
        head = bytes((reader.present,)) + reader.events.to_bytes(2, "big")
        fields[index] = head + reader.name.encode("utf-8", "surrogateescape")
    return frames.build(Kind.READERS, fields)


def build_no_pcscd() -> bytearray:
    """The message that pcscd is not there."""
    return frames.build(Kind.NO_PCSCD, {})


def parse_readers(message: bytearray) -> list[ReaderState] | None:
    """All readers, or None where pcscd is not there. Raises :class:`WireError`."""
    kind, fields = parse(message)
    if kind == Kind.NO_PCSCD:
        return None
    if kind != Kind.READERS or len(fields) > READERS_MAX:
        raise WireError("not a list of readers")
    readers: list[ReaderState] = []
    for value in fields.values():
        if len(value) < 4 or value[0] > 1:
            raise WireError("not a reader")
        # the name goes back to pcscd unchanged; it is made plain where it is shown
        name = bytes(value[3:]).decode("utf-8", "surrogateescape")
        if "\0" in name or any(name == each.name for each in readers):
            raise WireError("a reader's name that pcscd cannot have")
        readers.append(ReaderState(name, bool(value[0]), int.from_bytes(value[1:3], "big")))
    return readers
