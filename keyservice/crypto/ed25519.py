# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ed25519 (RFC 8032, section 5.1) over the SHA-256 of the message: 32 bytes are what every card
signs whole. A firmware signs the first 32 bytes of a longer one, and forgets the rest."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keyservice.core.errors import UkeyFailed

from .pyca import needs

SIGNATURE_BYTES = 64
_KEY_BYTES = 32
#: SubjectPublicKeyInfo up to the key (RFC 8410, section 4).
_PREFIX = bytes.fromhex("302a300506032b6570032100")
#: The prime of the field (RFC 8032, section 5.1).
_P = 2**255 - 19
#: The y of the points whose order divides 8: anybody can make signatures under such a key.
_SMALL = frozenset(
    {
        *(0, 1, _P - 1),
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


class Ed25519:
    """See :class:`keyservice.crypto.algorithms.Algorithm`. A signature is R ‖ S, 64 bytes."""

    name = "ed25519"

    def check(self, key: bytes) -> None:
        self._load(key)

    def has_form(self, key: bytes) -> bool:
        return len(key) == len(_PREFIX) + _KEY_BYTES and key.startswith(_PREFIX)

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        """The digest, 32 bytes."""
        return hashlib.sha256(message).digest()

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            with needs("Ed25519", UnsupportedAlgorithm):
                self._load(key).verify(signature, hashlib.sha256(message).digest())
        except (UkeyFailed, InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True

    def fingerprint(self, key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()

    def _load(self, key: bytes) -> Ed25519PublicKey:
        if not self.has_form(key):
            raise UkeyFailed("The public key is no Ed25519 key")
        raw = key[len(_PREFIX) :]
        y = int.from_bytes(raw, "little") & (2**255 - 1)
        if y >= _P or y in _SMALL:
            raise UkeyFailed("The public key is none that a ukey has made")
        try:
            with needs("Ed25519", UnsupportedAlgorithm):
                return Ed25519PublicKey.from_public_bytes(raw)
        except (ValueError, UnsupportedAlgorithm):
            raise UkeyFailed("The public key is no Ed25519 key") from None


ED25519 = Ed25519()
