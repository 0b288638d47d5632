# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The SM4 block cipher (GB/T 32907): ECB and CBC-MAC, what a ukey's PIN commands need."""

from __future__ import annotations

import importlib
from typing import Any

from keyservice.core import fips

from . import blocks as block_ciphers
from .blocks import Buffer

BLOCK_BYTES = 16
#: As OpenSSL has them.
_ECB, _CBC = b"SM4-ECB", b"SM4-CBC"


def prepare() -> None:
    """Load what the first call would load now: a device worker cannot open files later.

    Raises :class:`CryptoMissing`.
    """
    encrypt(bytes(BLOCK_BYTES), bytes(BLOCK_BYTES))
    cbc_mac(*[bytes(BLOCK_BYTES)] * 3)


def encrypt(key: Buffer, blocks: Buffer) -> bytes:
    """`blocks`, a multiple of 16 bytes, under the 16-byte `key` in ECB mode."""
    return _run(key, None, blocks)


def cbc_mac(key: Buffer, iv: Buffer, message: Buffer) -> bytes:
    """The last 16-byte block of `message`, a multiple of 16 bytes, in CBC mode from `iv` on."""
    return _run(key, iv, message)[-BLOCK_BYTES:]


def _run(key: Buffer, iv: Buffer | None, blocks: Buffer) -> bytes:
    """In CBC mode where there is an `iv`, else in ECB mode."""
    if len(key) != BLOCK_BYTES or not blocks or len(blocks) % BLOCK_BYTES:
        raise ValueError("SM4 takes a key of 16 bytes and whole blocks of 16")
    if iv is not None and len(iv) != BLOCK_BYTES:
        raise ValueError("SM4 takes an IV of 16 bytes")
    name = _ECB if iv is None else _CBC
    if not block_ciphers.known(name):
        return _run_gmssl(key, iv, blocks)
    return block_ciphers.encrypt(name, key, iv, blocks)


def _run_gmssl(key: Buffer, iv: Buffer | None, blocks: Buffer) -> bytes:
    """For hosts whose libcrypto was built without SM4 (RHEL, Fedora)."""
    try:
        gmssl: Any = importlib.import_module("gmssl.sm4")
    except ImportError:
        raise fips.lacking("SM4") from None
    cipher = gmssl.CryptSM4()
    cipher.set_key(bytes(key), gmssl.SM4_ENCRYPT)
    out, last = bytearray(), iv
    for at in range(0, len(blocks), BLOCK_BYTES):
        block = blocks[at : at + BLOCK_BYTES]
        if last is not None:
            block = bytes(a ^ b for a, b in zip(block, last, strict=True))
        done = bytes(cipher.one_round(cipher.sk, list(block)))
        last = done if last is not None else None
        out += done
    return bytes(out)
