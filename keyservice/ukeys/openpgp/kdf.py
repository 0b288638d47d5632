# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PINs that a card gets as digests (4.3.2): object F9, and the iterated and salted S2K of RFC 4880.

With one, the PIN that a person types never reaches the card or its reader.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from keyservice.core.secret import Secret, wipe
from keyservice.transport import tlv
from keyservice.transport.iso7816 import ResponseError

from .data import Reference, Tag

_ALGORITHM, _DIGEST, _COUNT = 0x81, 0x82, 0x83
_SALT, _CODE_SALT, _ADMIN_SALT = 0x84, 0x85, 0x86
_NONE, _ITERATED = b"\x00", b"\x03"
_DIGESTS = {b"\x08": "sha256", b"\x0a": "sha512"}
_SALT_BYTES, _COUNT_BYTES = 8, 4
#: The most that S2K can name (RFC 4880, 3.7.1.3).
COUNT_MAX = 0x3E00000
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Kdf:
    """How a card wants its PINs."""

    digest: str
    count: int  #: bytes that are digested
    salts: dict[Reference | None, bytes]  #: None: the resetting code's

    @classmethod
    def parse(cls, data: bytes) -> Kdf | None:
        """None where it takes them as they are."""
        told = tlv.parse(data)
        if Tag.KDF in told:  # cards differ in whether the answer is the object or its value
            told = tlv.parse(told[Tag.KDF])
        algorithm = told.get(_ALGORITHM)
        if not told or algorithm == _NONE:
            return None
        digest, count = _DIGESTS.get(told.get(_DIGEST, b"")), told.get(_COUNT, b"")
        salt = told.get(_SALT, b"")
        if algorithm != _ITERATED or digest is None or len(count) != _COUNT_BYTES:
            raise ResponseError("The card takes its PINs in a way that is not known here")
        salts = {
            Reference.PW1: salt,
            None: told.get(_CODE_SALT, salt),
            Reference.PW3: told.get(_ADMIN_SALT, salt),
        }
        number = int.from_bytes(count, "big")
        if number > COUNT_MAX or any(len(each) != _SALT_BYTES for each in salts.values()):
            raise ResponseError("The card's way to take its PINs makes no sense")
        return cls(digest, number, salts)

    def derived(self, pin: Secret, of: Reference | None) -> bytearray:
        """What the card gets for `pin`. The caller wipes it."""
        digest = hashlib.new(self.digest)
        with pin.view() as view:
            one = bytearray(self.salts[of])
            one += view
        try:
            _feed(digest, one, max(self.count, len(one)))
        finally:
            wipe(one)
        return bytearray(digest.digest())


def _feed(digest: Any, one: bytearray, count: int) -> None:
    """`count` bytes of `one` again and again."""
    many = one * max(1, min(count, _BLOCK) // len(one))
    try:
        whole, rest = divmod(count, len(many))
        for _ in range(whole):
            digest.update(many)
        with memoryview(many) as view:
            digest.update(view[:rest])
    finally:
        wipe(many)


def prepare() -> None:
    """Load now what the first PIN would load: a device worker cannot open files later."""
    for name in _DIGESTS.values():
        hashlib.new(name)
