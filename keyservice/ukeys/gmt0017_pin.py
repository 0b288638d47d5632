# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN cryptography of GM/T 0017-2012, as implementations do it.

Weak by design: whoever sees one VerifyPIN and its challenge finds a short PIN offline (an unsalted,
truncated hash). The ukey's counter protects against guessing at the ukey, nothing else does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

from cryptography.hazmat.primitives import hashes

from keyservice.contract.names import PIN_MAX, PIN_MIN
from keyservice.core.errors import PinRefused
from keyservice.core.secret import Secret, wipe
from keyservice.crypto import sm4

from .quirks import MacLength, PinHash

CHALLENGE_BYTES = 8
MAC_BYTES = 4
_PIN_FIELD = 16


def check(pin: Secret) -> None:
    """Raise :class:`PinRefused` for what cannot be a PIN: 6 to 16 bytes are (GM/T 0027-2014)."""
    if not PIN_MIN <= len(pin) <= PIN_MAX:
        raise PinRefused


@contextmanager
def key_of(pin: Secret, pin_hash: PinHash) -> Iterator[bytearray]:
    """K, 16 bytes: the hash of the PIN padded with 00 to 16 bytes. Wiped when left."""
    padded = pin.padded(_PIN_FIELD)
    try:
        if pin_hash is PinHash.SHA1:
            digest = hashlib.sha1(padded, usedforsecurity=False).digest()
        else:
            sm3 = hashes.Hash(hashes.SM3())
            sm3.update(cast(bytes, padded))
            digest = sm3.finalize()
    finally:
        wipe(padded)
    key = bytearray(digest[: sm4.BLOCK_BYTES])
    try:
        yield key
    finally:
        wipe(key)


def proof(key: bytearray, challenge: bytes) -> bytes:
    """SM4-ECB(K, challenge ‖ 00×8), 16 bytes: what VerifyPIN sends."""
    return sm4.encrypt(key, _block(challenge))


def encrypted(key: bytearray, new: Secret) -> bytes:
    """SM4-ECB(K, new PIN padded with 00 to 16 bytes), 16 bytes."""
    padded = new.padded(_PIN_FIELD)
    try:
        return sm4.encrypt(key, padded)
    finally:
        wipe(padded)


def mac(
    key: bytearray, challenge: bytes, header: bytes, data: bytes, mac_length: MacLength
) -> bytes:
    """MAC4 over ``CLA INS P1 P2 ‖ Lc ‖ 00 00 ‖ data``, padded with 80 00…: the first 4 bytes of
    SM4-CBC-MAC with IV challenge ‖ 00×8."""
    lc = len(data) + (0 if mac_length is MacLength.DATA else MAC_BYTES)
    order: Literal["little", "big"] = "little" if mac_length is MacLength.SWAPPED else "big"
    message = header + lc.to_bytes(2, order) + bytes(2) + data + b"\x80"
    message += bytes(-len(message) % sm4.BLOCK_BYTES)
    return sm4.cbc_mac(key, _block(challenge), message)[:MAC_BYTES]


def _block(challenge: bytes) -> bytes:
    return challenge + bytes(sm4.BLOCK_BYTES - CHALLENGE_BYTES)
