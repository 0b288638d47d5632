# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Algorithm attributes, objects C1 to C3 (4.4.3.9)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.pivcard.apdu import SW, Status

RSA, ECDH, ECDSA, EDDSA = 0x01, 0x12, 0x13, 0x16
_E_BITS = 17

#: Curves by the bytes of their object identifiers.
P256 = bytes.fromhex("2a8648ce3d030107")
P384 = bytes.fromhex("2b81040022")
ED25519 = bytes.fromhex("2b06010401da470f01")
X25519 = bytes.fromhex("2b060104019755010501")
#: With a head of its own: so says the one card that has it.
SM2 = bytes.fromhex("06082a811ccf5501822d")

_SIGN = {P256: ECDSA, P384: ECDSA, SM2: ECDSA, ED25519: EDDSA}
_DECIPHER = {P256: ECDH, P384: ECDH, X25519: ECDH}
#: The specification's import format without the public key.
_STANDARD = 0x00


def rsa(bits: int) -> bytes:
    return (
        bytes((RSA,)) + bits.to_bytes(2, "big") + _E_BITS.to_bytes(2, "big") + bytes((_STANDARD,))
    )


#: Those of keys that sign, by name.
NAMES = {
    "p256": bytes((ECDSA,)) + P256,
    "p384": bytes((ECDSA,)) + P384,
    "ed25519": bytes((EDDSA,)) + ED25519,
    "sm2": bytes((ECDSA,)) + SM2,
    "rsa2048": rsa(2048),
    "rsa3072": rsa(3072),
    "rsa4096": rsa(4096),
    "x25519": bytes((ECDH,)) + X25519,  # of the key that deciphers
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a slot is for."""

    bits: int  #: of an RSA modulus, 0 for all others
    curve: bytes


def parse(attributes: bytes, slot: int) -> Attributes:
    """6A80 for what a key in `slot` (2: the one that deciphers) cannot be."""
    if attributes[:1] == bytes((RSA,)) and len(attributes) in (5, 6):
        bits = int.from_bytes(attributes[1:3], "big")
        if bits in (2048, 3072, 4096):
            return Attributes(bits, b"")
    for curve, algorithm in (_DECIPHER if slot == 2 else _SIGN).items():
        # the last byte may say that the public key is imported with the private one
        if attributes in (head := bytes((algorithm,)) + curve, head + b"\xff"):
            return Attributes(0, curve)
    raise Status(SW.BAD_DATA)
