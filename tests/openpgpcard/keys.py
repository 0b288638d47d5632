# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Key pairs of the card."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from tests.pivcard.apdu import SW, Status, tlv
from tests.softkey import sm2

from . import attributes
from .attributes import Attributes

_CURVES: dict[bytes, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    attributes.P256: (ec.SECP256R1(), hashes.SHA256()),
    attributes.P384: (ec.SECP384R1(), hashes.SHA384()),
}
#: What RSA signs is at most so much of the modulus (7.2.10, 7.2.13).
_RSA_SHARE = 0.4
_PKCS8 = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


class Key(Protocol):
    """A private key of one algorithm."""

    def public(self) -> bytes:
        """The objects of its public key (7.2.14)."""
        ...

    def sign(self, data: bytes) -> bytes:
        """6A80 for data of a wrong length."""
        ...

    def decipher(self, data: bytes) -> bytes: ...
    def encoded(self) -> bytes: ...


class RsaKey:
    """It pads what it is given, and looks no deeper into that."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.private = key
        self._numbers = key.private_numbers()

    def public(self) -> bytes:
        numbers = self._numbers.public_numbers
        modulus = numbers.n.to_bytes(self.private.key_size // 8, "big")
        return tlv(0x81, modulus) + tlv(0x82, numbers.e.to_bytes(3, "big"))

    def sign(self, data: bytes) -> bytes:
        size = self.private.key_size // 8
        if not data or len(data) > size * _RSA_SHARE:
            raise Status(SW.BAD_DATA)
        return self._raw(b"\0\x01" + b"\xff" * (size - 3 - len(data)) + b"\0" + data)

    def decipher(self, data: bytes) -> bytes:
        if len(data) != self.private.key_size // 8 + 1 or data[0]:
            raise Status(SW.BAD_DATA)
        block = self._raw(data[1:])
        end = block.find(b"\0", 2)
        if block[:2] != b"\0\x02" or end < 10:
            raise Status(SW.BAD_DATA)
        return block[end + 1 :]

    def encoded(self) -> bytes:
        return self.private.private_bytes(*_PKCS8)

    def _raw(self, block: bytes) -> bytes:
        numbers, size = self._numbers, len(block)
        base = int.from_bytes(block, "big")
        m1, m2 = pow(base, numbers.dmp1, numbers.p), pow(base, numbers.dmq1, numbers.q)
        h = numbers.iqmp * (m1 - m2) % numbers.p
        return (m2 + h * numbers.q).to_bytes(size, "big")


class EcKey:
    def __init__(self, key: ec.EllipticCurvePrivateKey, curve: bytes) -> None:
        self.private = key
        self._curve, self._hash = _CURVES[curve]

    def public(self) -> bytes:
        point = self.private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        return tlv(0x86, point)

    def sign(self, data: bytes) -> bytes:
        size = self._hash.digest_size
        if not data or len(data) > size:
            raise Status(SW.BAD_DATA)
        kind = ec.ECDSA(utils.Prehashed(self._hash))
        r, s = utils.decode_dss_signature(self.private.sign(data.rjust(size, b"\0"), kind))
        half = self._curve.key_size // 8
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")

    def decipher(self, data: bytes) -> bytes:
        point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, data)
        return self.private.exchange(ec.ECDH(), point)

    def encoded(self) -> bytes:
        return self.private.private_bytes(*_PKCS8)


class EdKey:
    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self.private = key

    def public(self) -> bytes:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return tlv(0x86, raw)

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)

    def decipher(self, data: bytes) -> bytes:
        raise Status(SW.CONDITIONS)

    def encoded(self) -> bytes:
        return self.private.private_bytes(*_PKCS8)


class XKey:
    def __init__(self, key: x25519.X25519PrivateKey) -> None:
        self.private = key

    def public(self) -> bytes:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return tlv(0x86, raw)

    def sign(self, data: bytes) -> bytes:
        raise Status(SW.CONDITIONS)

    def decipher(self, data: bytes) -> bytes:
        return self.private.exchange(x25519.X25519PublicKey.from_public_bytes(data))

    def encoded(self) -> bytes:
        return self.private.private_bytes(*_PKCS8)


class Sm2Key:
    """The host makes e = SM3(ZA ‖ M)."""

    def __init__(self, pair: sm2.KeyPair) -> None:
        self._pair = pair

    def public(self) -> bytes:
        return tlv(0x86, b"\x04" + self._pair.point)

    def sign(self, data: bytes) -> bytes:
        if len(data) != sm2.DIGEST_BYTES:
            raise Status(SW.BAD_DATA)
        return self._pair.sign(data)

    def decipher(self, data: bytes) -> bytes:
        raise Status(SW.CONDITIONS)

    def encoded(self) -> bytes:
        return self._pair.pem()


def generate(of: Attributes) -> Key:
    if of.bits:
        return RsaKey(rsa.generate_private_key(65537, of.bits))
    if of.curve in _CURVES:
        return EcKey(ec.generate_private_key(_CURVES[of.curve][0]), of.curve)
    if of.curve == attributes.ED25519:
        return EdKey(ed25519.Ed25519PrivateKey.generate())
    if of.curve == attributes.X25519:
        return XKey(x25519.X25519PrivateKey.generate())
    return Sm2Key(sm2.KeyPair.generate())


def load(of: Attributes, encoded: bytes) -> Key:
    """What :meth:`Key.encoded` has given."""
    if of.curve == attributes.SM2:
        return Sm2Key(sm2.KeyPair.from_pem(encoded))
    key = load_der_private_key(encoded, None)
    if isinstance(key, rsa.RSAPrivateKey):
        return RsaKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return EcKey(key, of.curve)
    if isinstance(key, x25519.X25519PrivateKey):
        return XKey(key)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return EdKey(key)


def imported(of: Attributes, parts: dict[int, bytes]) -> Key:
    """The key in an extended header list (4.4.3.12): 91 e, 92 p or the scalar, 93 q."""
    try:
        if of.bits:
            e, p, q = (int.from_bytes(parts[tag], "big") for tag in (0x91, 0x92, 0x93))
            n, d = p * q, pow(e, -1, (p - 1) * (q - 1))
            if n.bit_length() != of.bits:
                raise Status(SW.BAD_DATA)
            numbers = rsa.RSAPrivateNumbers(
                p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, n)
            )
            return RsaKey(numbers.private_key())
        if of.curve in _CURVES:
            scalar = int.from_bytes(parts[0x92], "big")
            return EcKey(ec.derive_private_key(scalar, _CURVES[of.curve][0]), of.curve)
        if of.curve == attributes.ED25519:
            return EdKey(ed25519.Ed25519PrivateKey.from_private_bytes(parts[0x92]))
        if of.curve == attributes.X25519:
            return XKey(x25519.X25519PrivateKey.from_private_bytes(parts[0x92]))
    except (KeyError, ValueError):
        pass
    raise Status(SW.BAD_DATA)
