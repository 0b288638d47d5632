# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""SM2 by OpenSSL 3's EVP, called through ctypes: no Python package offers it.

The digest e is made on the host (it is what the ukey signs), so EVP is asked to verify a digest.
So it does not matter that the SM2 id would have to be set before DigestVerifyInit.

ctypes lets go of the interpreter's lock during each call. A context is used by one call only; an
EVP_PKEY is counted by reference and safe to share; OpenSSL's error queue belongs to the thread.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p

from .engine import EngineUnavailable
from .library import load

_EVP_PKEY_PUBLIC_KEY = 0x86  # OSSL_KEYMGMT_SELECT_ALL_PARAMETERS | …_PUBLIC_KEY
_OSSL_PARAM_UTF8_STRING = 4
_OSSL_PARAM_OCTET_STRING = 5

#: A host has a handful of enrolled people; a parsed key takes about 2 KB.
_KEYS_MAX = 64


class _Param(Structure):
    """OSSL_PARAM, openssl/core.h."""

    _fields_ = (
        ("key", c_char_p),
        ("data_type", c_uint),
        ("data", c_char_p),
        ("data_size", c_size_t),
        ("return_size", c_size_t),
    )


class OpenSsl:
    """The ``openssl`` engine."""

    name = "openssl"

    def __init__(self) -> None:
        """Load libcrypto. Raises :class:`EngineUnavailable`."""
        try:
            self._lib = _load()
        except (OSError, AttributeError) as error:
            raise EngineUnavailable(f"libcrypto cannot be used: {error}") from None
        context = self._lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        self._lib.EVP_PKEY_CTX_free(context)
        if context is None:
            self._lib.ERR_clear_error()
            raise EngineUnavailable("libcrypto offers no SM2")
        self._keys: OrderedDict[bytes, _Key] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, point: bytes, digest: bytes, r: int, s: int) -> bool:
        """See :meth:`keyservice.crypto.engine.Backend.verify`."""
        lib = self._lib
        key = self._key(point)
        if key is None:
            return False
        signature = _der(r, s)
        context = lib.EVP_PKEY_CTX_new_from_pkey(None, key.pointer, None)
        try:
            done = (
                context is not None
                and lib.EVP_PKEY_verify_init(context) == 1
                and lib.EVP_PKEY_verify(context, signature, len(signature), digest, len(digest))
                == 1
            )
        finally:
            lib.EVP_PKEY_CTX_free(context)
        if not done:
            # cryptography shares this thread's queue, and takes an old error there for its own
            lib.ERR_clear_error()
        return done

    def _key(self, point: bytes) -> _Key | None:
        """The parsed key, from the cache if it was used lately; None if OpenSSL refuses it."""
        with self._lock:
            key = self._keys.get(point)
            if key is not None:
                self._keys.move_to_end(point)
                return key
        key = _Key.parse(self._lib, point)
        if key is not None:
            with self._lock:
                self._keys[point] = key
                if len(self._keys) > _KEYS_MAX:
                    self._keys.popitem(last=False)
        return key


class _Key:
    """An EVP_PKEY, freed with its last user: an evicted key may be at work in another thread."""

    def __init__(self, lib: ctypes.CDLL, pointer: c_void_p) -> None:
        self._free = lib.EVP_PKEY_free
        self.pointer = pointer

    def __del__(self) -> None:
        self._free(self.pointer)

    @classmethod
    def parse(cls, lib: ctypes.CDLL, point: bytes) -> _Key | None:
        encoded = b"\x04" + point
        params = (_Param * 3)(
            _Param(b"group", _OSSL_PARAM_UTF8_STRING, b"SM2", 3, 0),
            _Param(b"pub", _OSSL_PARAM_OCTET_STRING, encoded, len(encoded), 0),
            _Param(None, 0, None, 0, 0),
        )
        pointer = c_void_p()
        # by name: a key decoded as plain EC would be verified as ECDSA
        context = lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        try:
            done = (
                context is not None
                and lib.EVP_PKEY_fromdata_init(context) == 1
                and lib.EVP_PKEY_fromdata(context, byref(pointer), _EVP_PKEY_PUBLIC_KEY, params)
                == 1
            )
        finally:
            lib.EVP_PKEY_CTX_free(context)
        if not done:
            lib.ERR_clear_error()
            return None
        return cls(lib, pointer)


def _load() -> ctypes.CDLL:
    """libcrypto with the types of the calls used here."""
    return load(
        ("EVP_PKEY_CTX_new_from_name", c_void_p, (c_void_p, c_char_p, c_char_p)),
        ("EVP_PKEY_CTX_new_from_pkey", c_void_p, (c_void_p, c_void_p, c_char_p)),
        ("EVP_PKEY_CTX_free", None, (c_void_p,)),
        ("EVP_PKEY_fromdata_init", c_int, (c_void_p,)),
        ("EVP_PKEY_fromdata", c_int, (c_void_p, POINTER(c_void_p), c_int, POINTER(_Param))),
        ("EVP_PKEY_free", None, (c_void_p,)),
        ("EVP_PKEY_verify_init", c_int, (c_void_p,)),
        ("EVP_PKEY_verify", c_int, (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)),
        ("ERR_clear_error", None, ()),
    )


def _der(r: int, s: int) -> bytes:
    """SEQUENCE { r INTEGER, s INTEGER }, at most 72 bytes."""
    body = b""
    for number in (r, s):
        content = number.to_bytes(number.bit_length() // 8 + 1, "big")
        body += bytes((2, len(content))) + content
    return bytes((0x30, len(body))) + body
