# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The SM4 block cipher (GB/T 32907): ECB and CBC-MAC, what a ukey's PIN commands need.

By OpenSSL 3's EVP, called through ctypes: each device worker has it, and the Python package for it
would be a quarter of a worker's memory.
"""

from __future__ import annotations

import ctypes
import importlib
from ctypes import byref, c_char, c_char_p, c_int, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Any

from keyservice.core import fips

from .library import load

BLOCK_BYTES = 16
#: As OpenSSL has them.
_NAMES = (b"SM4-ECB", b"SM4-CBC")

Buffer = bytes | bytearray


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
    evp = _evp()
    if evp is None:
        return _run_gmssl(key, iv, blocks)
    cipher, vector = (evp.ecb, None) if iv is None else (evp.cbc, _at(iv))
    library, out, length = evp.library, ctypes.create_string_buffer(len(blocks)), c_int()
    context = library.EVP_CIPHER_CTX_new()
    try:
        done = (
            context is not None
            and library.EVP_EncryptInit_ex(context, cipher, None, _at(key), vector) == 1
            and library.EVP_CIPHER_CTX_set_padding(context, 0) == 1
            and library.EVP_EncryptUpdate(context, out, byref(length), _at(blocks), len(blocks))
            == 1
        )
    finally:
        library.EVP_CIPHER_CTX_free(context)  # and wipes it
    if not done or length.value != len(blocks):
        library.ERR_clear_error()
        raise MemoryError("libcrypto cannot encrypt by SM4")
    return out.raw


def _at(buffer: Buffer) -> Any:
    """`buffer` itself for a call: no copy of a key is left behind."""
    return buffer if isinstance(buffer, bytes) else (c_char * len(buffer)).from_buffer(buffer)


@dataclass(frozen=True, slots=True)
class _Evp:
    """libcrypto, and its two ciphers, which are kept for good."""

    library: ctypes.CDLL
    ecb: int
    cbc: int


@cache
def _evp() -> _Evp | None:
    """None where there is no libcrypto that has SM4."""
    try:
        library = load(
            ("EVP_CIPHER_fetch", c_void_p, (c_void_p, c_char_p, c_char_p)),
            ("EVP_CIPHER_CTX_new", c_void_p, ()),
            ("EVP_CIPHER_CTX_free", None, (c_void_p,)),
            ("EVP_CIPHER_CTX_set_padding", c_int, (c_void_p, c_int)),
            ("EVP_EncryptInit_ex", c_int, (c_void_p,) * 5),
            ("EVP_EncryptUpdate", c_int, (c_void_p, c_void_p, c_void_p, c_void_p, c_int)),
            ("ERR_clear_error", None, ()),
        )
    except (OSError, AttributeError):
        return None
    ecb, cbc = (library.EVP_CIPHER_fetch(None, name, None) for name in _NAMES)
    if ecb is None or cbc is None:
        library.ERR_clear_error()
        return None
    return _Evp(library, ecb, cbc)


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
