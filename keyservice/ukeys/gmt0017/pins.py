# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN cryptography of GM/T 0017-2012, as implementations do it.

It is weak by design: an attacker who sees one VerifyPIN and its challenge finds a short PIN offline
(an unsalted, truncated hash). Only the ukey's counter protects against guessing at the ukey.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from keyservice.core import fips
from keyservice.core.errors import PinRefused
from keyservice.core.secret import Secret, wipe
from keyservice.crypto import sm4

from .settings import PIN_RULE, MacLength, PinBlock, PinHash

CHALLENGE_BYTES = 8
MAC_BYTES = 4


def prepare() -> None:
    """Load now what the first PIN would load: a device worker cannot open files later."""
    sm4.prepare()
    for each in PinHash:
        _hash(each)


def _hash(pin_hash: PinHash) -> hashlib._Hash:
    try:
        return hashlib.new(pin_hash.value, usedforsecurity=False)
    except ValueError:
        raise fips.lacking(pin_hash.value.upper()) from None


def check(pin: Secret) -> None:
    """Raise :class:`PinRefused` for what cannot be a PIN."""
    if not PIN_RULE.fits(pin):
        raise PinRefused(minimum=PIN_RULE.minimum, maximum=PIN_RULE.maximum)


@contextmanager
def key_of(pin: Secret, pin_hash: PinHash) -> Iterator[bytearray]:
    """K, 16 bytes: the hash of the PIN padded with 00 to 16 bytes. Wiped when left."""
    padded = pin.padded(PIN_RULE.maximum)
    try:
        hasher = _hash(pin_hash)
        hasher.update(padded)
        digest = hasher.digest()
    finally:
        wipe(padded)
    key = bytearray(digest[: sm4.BLOCK_BYTES])
    try:
        yield key
    finally:
        wipe(key)


def proof(key: bytearray, challenge: bytes, shape: PinBlock) -> bytes:
    """The challenge, encrypted under K: what VerifyPIN sends, 16 bytes."""
    return _encrypted(key, challenge, shape)


def encrypted(key: bytearray, new: Secret, shape: PinBlock) -> bytes:
    """A new PIN, encrypted under K: 16 bytes, or 32 for a sized one of 14 to 16."""
    with new.view() as pin:
        return _encrypted(key, pin, shape)


def _encrypted(key: bytearray, data: bytes | memoryview, shape: PinBlock) -> bytes:
    """SM4-ECB(K, `data` in its blocks)."""
    front = len(data).to_bytes(2, "little") if shape is PinBlock.SIZED else b""
    back = b"\x80" if shape is PinBlock.SIZED else b""
    length = len(front) + len(data) + len(back)
    # as long as it will be: one that grows leaves its content behind
    blocks = bytearray(length + -length % sm4.BLOCK_BYTES)
    try:
        for at, part in ((0, front), (len(front), data), (length - len(back), back)):
            blocks[at : at + len(part)] = part
        return sm4.encrypt(key, blocks)
    finally:
        wipe(blocks)


def mac(
    key: bytearray, challenge: bytes, header: bytes, data: bytes, mac_length: MacLength
) -> bytes:
    """MAC4 over ``CLA INS P1 P2 ‖ Lc ‖ 00 00 ‖ data``, padded with 80 00…: the first 4 bytes of
    SM4-CBC-MAC with IV challenge ‖ 00×8. ``wire`` has ``00 ‖ Lc`` in the place of ``Lc ‖ 00 00``.
    """
    lc = len(data) + (0 if mac_length is MacLength.DATA else MAC_BYTES)
    order: Literal["little", "big"] = "little" if mac_length is MacLength.SWAPPED else "big"
    counted = lc.to_bytes(2, order)
    counted = bytes(1) + counted if mac_length is MacLength.WIRE else counted + bytes(2)
    message = header + counted + data + b"\x80"
    message += bytes(-len(message) % sm4.BLOCK_BYTES)
    iv = challenge + bytes(sm4.BLOCK_BYTES - CHALLENGE_BYTES)
    return sm4.cbc_mac(key, iv, message)[:MAC_BYTES]
