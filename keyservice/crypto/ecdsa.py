# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""ECDSA (FIPS 186-5, section 6.4) on the curves of SP 800-78: P-256 with SHA-256, P-384 with
SHA-384. Keys are SubjectPublicKeyInfo with the uncompressed point (RFC 5480, section 2)."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keyservice.core.errors import UkeyFailed

from .pyca import needs

#: SubjectPublicKeyInfo up to the point: one spelling, so that one key has one fingerprint.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P384 = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
_UNCOMPRESSED = b"\x04"


class Ecdsa:
    """See :class:`keyservice.crypto.algorithms.Algorithm`. A signature is r ‖ s, each as long as
    the curve's coordinates, big-endian."""

    def __init__(
        self, name: str, prefix: bytes, curve: EllipticCurve, digest: hashes.HashAlgorithm
    ) -> None:
        self.name = name
        self._prefix = prefix + _UNCOMPRESSED
        self._curve, self._digest = curve, digest
        self._half = (curve.key_size + 7) // 8

    def check(self, key: bytes) -> None:
        self._load(key)

    def has_form(self, key: bytes) -> bool:
        return len(key) == len(self._prefix) + 2 * self._half and key.startswith(self._prefix)

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        """The digest: 32 bytes for P-256, 48 for P-384."""
        hasher = hashes.Hash(self._digest)
        hasher.update(message)
        return hasher.finalize()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * self._half:
            return False
        r = int.from_bytes(signature[: self._half], "big")
        s = int.from_bytes(signature[self._half :], "big")
        try:
            with needs(self._curve.name, UnsupportedAlgorithm):
                self._load(key).verify(encode_dss_signature(r, s), message, ECDSA(self._digest))
        except (UkeyFailed, InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True

    def fingerprint(self, key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()

    def _load(self, key: bytes) -> EllipticCurvePublicKey:
        try:
            if self.has_form(key):
                point = _UNCOMPRESSED + key[len(self._prefix) :]
                with needs(self._curve.name, UnsupportedAlgorithm):
                    return EllipticCurvePublicKey.from_encoded_point(self._curve, point)
        except (ValueError, UnsupportedAlgorithm):
            pass
        raise UkeyFailed(f"The public key is no point of {self._curve.name}")


P256 = Ecdsa("p256", _P256, SECP256R1(), hashes.SHA256())
P384 = Ecdsa("p384", _P384, SECP384R1(), hashes.SHA384())
