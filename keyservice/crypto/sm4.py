# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The SM4 block cipher (GB/T 32907): ECB and CBC-MAC, what a ukey's PIN commands need."""

from __future__ import annotations

import importlib
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

BLOCK_BYTES = 16

Buffer = bytes | bytearray


def prepare() -> None:
    """Load now what the first call would load: a device worker cannot open files later."""
    encrypt(bytes(BLOCK_BYTES), bytes(BLOCK_BYTES))


def encrypt(key: Buffer, blocks: Buffer) -> bytes:
    """`blocks`, a multiple of 16 bytes, under the 16-byte `key` in ECB mode."""
    return _run(key, modes.ECB(), blocks)


def cbc_mac(key: Buffer, iv: Buffer, message: Buffer) -> bytes:
    """The last 16-byte block of `message`, a multiple of 16 bytes, in CBC mode from `iv` on."""
    return _run(key, modes.CBC(bytes(iv)), message)[-BLOCK_BYTES:]


def _run(key: Buffer, mode: modes.ECB | modes.CBC, blocks: Buffer) -> bytes:
    if len(key) != BLOCK_BYTES or not blocks or len(blocks) % BLOCK_BYTES:
        raise ValueError("SM4 takes a key of 16 bytes and whole blocks of 16")
    try:
        # it takes any buffer, whatever its types say: no copy of a key is left behind
        cipher = Cipher(SM4(cast(bytes, key)), mode).encryptor()
    except UnsupportedAlgorithm:
        return _run_gmssl(key, mode, blocks)
    return cipher.update(cast(bytes, blocks)) + cipher.finalize()


def _run_gmssl(key: Buffer, mode: modes.ECB | modes.CBC, blocks: Buffer) -> bytes:
    """For hosts whose libcrypto was built without SM4 (RHEL, Fedora)."""
    gmssl: Any = importlib.import_module("gmssl.sm4")
    cipher = gmssl.CryptSM4()
    cipher.set_key(bytes(key), gmssl.SM4_ENCRYPT)
    out = bytearray()
    last = mode.initialization_vector if isinstance(mode, modes.CBC) else None
    for at in range(0, len(blocks), BLOCK_BYTES):
        block = blocks[at : at + BLOCK_BYTES]
        if last is not None:
            block = bytes(a ^ b for a, b in zip(block, last, strict=True))
        done = bytes(cipher.one_round(cipher.sk, list(block)))
        last = done if last is not None else None
        out += done
    return bytes(out)
