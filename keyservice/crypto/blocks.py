# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Block ciphers by OpenSSL 3's EVP, called through ctypes: each device worker has it, and the
Python package for it would be a quarter of a worker's memory."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_char_p, c_int, c_void_p
from functools import cache
from typing import Any

from .library import load

Buffer = bytes | bytearray


def known(name: bytes) -> bool:
    """Whether libcrypto has the cipher, as OpenSSL calls it. The first call loads it for good: a
    device worker cannot open files later."""
    return _fetched(name) is not None


def encrypt(name: bytes, key: Buffer, iv: Buffer | None, blocks: Buffer) -> bytes:
    """`blocks`, which are whole, under a `key` of the cipher's length. The cipher is known."""
    library, cipher = _library(), _fetched(name)
    if library is None or cipher is None:
        raise LookupError("libcrypto does not have the cipher")
    out, length = ctypes.create_string_buffer(len(blocks)), c_int()
    vector = None if iv is None else _at(iv)
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
        raise MemoryError("libcrypto cannot encrypt")
    return out.raw


def _at(buffer: Buffer) -> Any:
    """`buffer` itself for a call: no copy of a key is left behind."""
    return buffer if isinstance(buffer, bytes) else (c_char * len(buffer)).from_buffer(buffer)


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return load(
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


@cache
def _fetched(name: bytes) -> int | None:
    """The cipher, which is kept for good; None where there is none of that name."""
    library = _library()
    if library is None:
        return None
    cipher: int | None = library.EVP_CIPHER_fetch(None, name, None)
    if cipher is None:
        library.ERR_clear_error()
    return cipher
