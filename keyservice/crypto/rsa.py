# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""RSA signatures, RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2): what cards make."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from keyservice.core.errors import UkeyFailed

from .pyca import needs

#: Bits of a modulus. Fewer are not safe (SP 800-131A), no card has more.
BITS_MIN, BITS_MAX = 2048, 4096
#: FIPS 186-5, A.1.1: odd, and over 2^16.
_EXPONENT_MIN = 65537
#: DigestInfo of SHA-256 without the digest (RFC 8017, section 9.2, note 1).
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class Rsa:
    """See :class:`keyservice.crypto.algorithms.Algorithm`. A signature is as long as
    the modulus."""

    name = "rsa"

    def check(self, key: bytes) -> None:
        self._load(key)

    def has_form(self, key: bytes) -> bool:
        """One DER SEQUENCE (X.690, 8.1.3), to its end."""
        head, length = key[:4], len(key) - 4
        return len(head) == 4 and head[:2] == b"\x30\x82" and length == head[2] << 8 | head[3]

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        """DigestInfo, 51 bytes. Whether the card or its driver pads it is the kind's matter."""
        return _DIGEST_INFO + hashlib.sha256(message).digest()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            loaded = self._load(key)
            if len(signature) != (loaded.key_size + 7) // 8:
                return False
            with needs("RSA"):
                loaded.verify(signature, message, PKCS1v15(), hashes.SHA256())
        except (UkeyFailed, InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True

    def fingerprint(self, key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()

    def _load(self, key: bytes) -> RSAPublicKey:
        try:
            with needs("RSA"):
                loaded = load_der_public_key(key)
                canonical = loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, UnsupportedAlgorithm):
            raise UkeyFailed("The public key cannot be read") from None
        if not isinstance(loaded, RSAPublicKey) or canonical != key:
            # one key has one spelling: another would have a fingerprint that nobody has revoked
            raise UkeyFailed("The public key is no RSA key, or not in DER")
        if not BITS_MIN <= loaded.key_size <= BITS_MAX:
            raise UkeyFailed(f"An RSA key has {BITS_MIN} to {BITS_MAX} bits")
        exponent = loaded.public_numbers().e
        if exponent < _EXPONENT_MIN or exponent % 2 == 0:
            raise UkeyFailed(f"An RSA key's exponent is odd and at least {_EXPONENT_MIN}")
        return loaded


RSA = Rsa()
