# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey's SM2 keys: made, kept and used by OpenSSL's libcrypto 3 (EVP), called by ctypes.

All numbers are 32 bytes big-endian: a point is X ‖ Y (64 bytes), a signature r ‖ s (64 bytes), a
digest e = SM3(ZA ‖ M) comes from the host and is signed as it is (32 bytes). One thread at a time.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ulong, c_void_p
from typing import Any

DIGEST_BYTES = 32
POINT_BYTES = 64
SIGNATURE_BYTES = 64

#: SubjectPublicKeyInfo up to the uncompressed point (id-ecPublicKey, curve sm2p256v1).
_SPKI_PREFIX = bytes.fromhex("3059301306072A8648CE3D020106082A811CCF5501822D03420004")
_DER_MAXIMUM = 72


class Sm2Error(Exception):
    """libcrypto refused: no SM2 in it, a bad key, a point off the curve."""


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL("libcrypto.so.3")
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "EVP_PKEY_Q_keygen": (c_void_p, [c_void_p, c_char_p, c_char_p]),
        "EVP_PKEY_is_a": (c_int, [c_void_p, c_char_p]),
        "EVP_PKEY_free": (None, [c_void_p]),
        "EVP_PKEY_get1_encoded_public_key": (c_size_t, [c_void_p, POINTER(c_void_p)]),
        "EVP_PKEY_CTX_new": (c_void_p, [c_void_p, c_void_p]),
        "EVP_PKEY_CTX_free": (None, [c_void_p]),
        "EVP_PKEY_sign_init": (c_int, [c_void_p]),
        "EVP_PKEY_sign": (c_int, [c_void_p, c_char_p, POINTER(c_size_t), c_char_p, c_size_t]),
        "EVP_PKEY_verify_init": (c_int, [c_void_p]),
        "EVP_PKEY_verify": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
        "d2i_PUBKEY": (c_void_p, [c_void_p, POINTER(c_char_p), c_long]),
        "BIO_s_mem": (c_void_p, []),
        "BIO_new": (c_void_p, [c_void_p]),
        "BIO_new_mem_buf": (c_void_p, [c_char_p, c_int]),
        "BIO_read": (c_int, [c_void_p, c_char_p, c_int]),
        "BIO_free": (c_int, [c_void_p]),
        "PEM_write_bio_PrivateKey": (c_int, [c_void_p] * 3 + [c_char_p, c_int] + [c_void_p] * 2),
        "PEM_read_bio_PrivateKey": (c_void_p, [c_void_p] * 4),
        "CRYPTO_free": (None, [c_void_p, c_char_p, c_int]),
        "ERR_get_error": (c_ulong, []),
        "ERR_error_string_n": (None, [c_ulong, c_char_p, c_size_t]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


_crypto = _load()


def _failure(what: str) -> Sm2Error:
    """An error with libcrypto's first reason; empties its error queue."""
    text = ctypes.create_string_buffer(256)
    code = _crypto.ERR_get_error()
    while _crypto.ERR_get_error():
        pass
    _crypto.ERR_error_string_n(code, text, len(text))
    return Sm2Error(f"{what}: {text.value.decode()}" if code else what)


class KeyPair:
    """One SM2 key pair, loaded once and ready to sign (about 0.25 ms each)."""

    __slots__ = ("_context", "_length", "_pkey", "_signature", "point")

    def __init__(self, pkey: int) -> None:
        """Own the ``EVP_PKEY *`` `pkey`; use :meth:`generate` or :meth:`from_pem`."""
        self._pkey = pkey
        self._context = None
        if not _crypto.EVP_PKEY_is_a(pkey, b"SM2"):
            raise Sm2Error("the key is not an SM2 key")
        #: X ‖ Y, 64 bytes
        self.point = _encoded_point(pkey)
        self._context = _crypto.EVP_PKEY_CTX_new(pkey, None)
        if not self._context or _crypto.EVP_PKEY_sign_init(self._context) != 1:
            raise _failure("libcrypto cannot sign with SM2")
        self._signature = ctypes.create_string_buffer(_DER_MAXIMUM)
        self._length = c_size_t()

    @classmethod
    def generate(cls) -> KeyPair:
        pkey = _crypto.EVP_PKEY_Q_keygen(None, None, b"SM2")
        if not pkey:
            raise _failure("libcrypto made no SM2 key pair")
        return cls(pkey)

    @classmethod
    def from_pem(cls, pem: bytes) -> KeyPair:
        """Load an unencrypted PKCS #8 (or SEC 1) private key."""
        bio = _crypto.BIO_new_mem_buf(pem, len(pem))
        try:
            pkey = _crypto.PEM_read_bio_PrivateKey(bio, None, None, None)
        finally:
            _crypto.BIO_free(bio)
        if not pkey:
            raise _failure("not a private key in PEM")
        return cls(pkey)

    def pem(self) -> bytes:
        """The private key as unencrypted PKCS #8, which the openssl command reads."""
        bio = _crypto.BIO_new(_crypto.BIO_s_mem())
        try:
            if _crypto.PEM_write_bio_PrivateKey(bio, self._pkey, None, None, 0, None, None) != 1:
                raise _failure("the key could not be written")
            buffer = ctypes.create_string_buffer(4096)
            length = _crypto.BIO_read(bio, buffer, len(buffer))
            return buffer.raw[:length]
        finally:
            _crypto.BIO_free(bio)

    def sign(self, digest: bytes) -> bytes:
        """r ‖ s (64 bytes) over the 32-byte `digest` e, which is not hashed again."""
        if len(digest) != DIGEST_BYTES:
            raise Sm2Error("a digest has 32 bytes")
        self._length.value = _DER_MAXIMUM
        done = _crypto.EVP_PKEY_sign(
            self._context, self._signature, byref(self._length), digest, DIGEST_BYTES
        )
        if done != 1:
            raise _failure("libcrypto did not sign")
        return raw_signature(self._signature.raw[: self._length.value])

    def __del__(self) -> None:
        if self._context:
            _crypto.EVP_PKEY_CTX_free(self._context)
        _crypto.EVP_PKEY_free(self._pkey)

    def __repr__(self) -> str:
        return f"<SM2 key pair {self.point[:4].hex()}…>"


def verify(point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether r ‖ s (64 bytes) is `point`'s signature over the 32-byte digest e.

    Raises :class:`Sm2Error` for a point that is not on the curve.
    """
    if (len(point), len(digest), len(signature)) != (POINT_BYTES, DIGEST_BYTES, SIGNATURE_BYTES):
        raise Sm2Error("a point has 64 bytes, a digest 32, a signature 64")
    der = _SPKI_PREFIX + point
    pkey = _crypto.d2i_PUBKEY(None, byref(c_char_p(der)), len(der))
    if not pkey:
        raise _failure("not a point on the curve")
    try:
        context = _crypto.EVP_PKEY_CTX_new(pkey, None)
        try:
            if _crypto.EVP_PKEY_verify_init(context) != 1:
                raise _failure("libcrypto cannot verify SM2")
            encoded = der_signature(signature)
            right = _crypto.EVP_PKEY_verify(context, encoded, len(encoded), digest, len(digest))
            while _crypto.ERR_get_error():
                pass
            return bool(right == 1)
        finally:
            _crypto.EVP_PKEY_CTX_free(context)
    finally:
        _crypto.EVP_PKEY_free(pkey)


def raw_signature(der: bytes) -> bytes:
    """r ‖ s (64 bytes) from SEQUENCE { INTEGER r, INTEGER s } as libcrypto wrote it."""
    r_end = 4 + der[3]
    r = int.from_bytes(der[4:r_end], "big")
    s = int.from_bytes(der[r_end + 2 :], "big")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def der_signature(raw: bytes) -> bytes:
    """SEQUENCE { INTEGER r, INTEGER s } from r ‖ s (64 bytes)."""
    body = b"".join(_der_integer(raw[start : start + 32]) for start in (0, 32))
    return bytes((0x30, len(body))) + body


def _der_integer(number: bytes) -> bytes:
    digits = number.lstrip(b"\0") or b"\0"
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return bytes((0x02, len(digits))) + digits


def _encoded_point(pkey: int) -> bytes:
    """X ‖ Y of a key; libcrypto encodes it as 04 ‖ X ‖ Y."""
    buffer = c_void_p()
    length = _crypto.EVP_PKEY_get1_encoded_public_key(pkey, byref(buffer))
    if length != 1 + POINT_BYTES or buffer.value is None:
        raise _failure("the key has no public point of 65 bytes")
    try:
        return ctypes.string_at(buffer.value, length)[1:]
    finally:
        _crypto.CRYPTO_free(buffer, b"", 0)
