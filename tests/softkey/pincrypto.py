# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PINs on the wire: keys derived from them, encrypted challenges, MACs (all SM4).

A PIN never crosses the wire before it is set; VerifyPIN sends a challenge encrypted under a key
that both sides derive from the PIN.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

BLOCK = 16
CHALLENGE_BYTES = 8
MAC_BYTES = 4
PIN_MINIMUM, PIN_FIELD = 6, 16

_CHALLENGE_PADDING = bytes(BLOCK - CHALLENGE_BYTES)


def pin_key(padded: bytes, pin_hash: str = "sha1") -> bytes:
    """The 16-byte key of a PIN padded with 00 to 16 bytes.

    The first 16 bytes of its SHA-1, which most tokens speak, or of its SM3.
    """
    if len(padded) != PIN_FIELD:
        raise ValueError("a padded PIN has 16 bytes")
    if pin_hash == "sha1":
        return hashlib.sha1(padded, usedforsecurity=False).digest()[:BLOCK]
    if pin_hash == "sm3":
        sm3 = hashes.Hash(hashes.SM3())
        sm3.update(padded)
        return sm3.finalize()[:BLOCK]
    raise ValueError(f"no such PIN hash: {pin_hash}")


def acceptable(padded: bytes) -> bool:
    """Whether a PIN field holds 6 to 16 bytes, 00 at its end only (GM/T 0027: 6 or more)."""
    pin = padded.rstrip(b"\0")
    return len(padded) == PIN_FIELD and len(pin) >= PIN_MINIMUM and b"\0" not in pin


def sized(data: bytes) -> bytes:
    """One vendor's blocks: the length in 2 bytes, low byte first ‖ data ‖ 80 ‖ 00…"""
    block = len(data).to_bytes(2, "little") + data + b"\x80"
    return block + bytes(-len(block) % BLOCK)


def unsized(blocks: bytes) -> bytes:
    """The data in one vendor's blocks, padded with 00 to a PIN's field; empty if they hold none."""
    data = blocks[2 : 2 + int.from_bytes(blocks[:2], "little")]
    return data.ljust(PIN_FIELD, b"\0") if sized(data) == blocks else b""


class Sm4:
    """SM4 under one key, its schedule kept: a block costs about 1 µs."""

    __slots__ = ("_key", "decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        self._key = SM4(key)
        cipher = Cipher(self._key, ECB())
        #: ECB over whole 16-byte blocks
        self.encrypt = cipher.encryptor().update
        self.decrypt = cipher.decryptor().update

    def respond(self, challenge: bytes, block: str = "padded") -> bytes:
        """The 16-byte proof of knowing the key: SM4-ECB(rnd8 ‖ 00×8), or of the sized rnd8."""
        padded = challenge + _CHALLENGE_PADDING
        return self.encrypt(sized(challenge) if block == "sized" else padded)

    def mac(self, challenge: bytes, message: bytes) -> bytes:
        """MAC4: the first 4 bytes of the CBC-MAC, IV rnd8 ‖ 00×8, padding 80 00…"""
        padded = message + b"\x80" + bytes(-(len(message) + 1) % BLOCK)
        iv = challenge + _CHALLENGE_PADDING
        chained = Cipher(self._key, CBC(iv)).encryptor().update(padded)
        return chained[-BLOCK : -BLOCK + MAC_BYTES]


@lru_cache(maxsize=64)
def sm4(key: bytes) -> Sm4:
    return Sm4(key)
