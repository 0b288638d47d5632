# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Key pairs of the card, by their algorithm's number (SP 800-78-4, table 6-2; the vendor's own)."""

from __future__ import annotations

import datetime
import subprocess
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from tests.softkey import sm2

from .apdu import SW, Status, tlv


class Algorithm(IntEnum):
    RSA3072 = 0x05  #: the vendor's, as of version 5.7
    RSA2048 = 0x07
    P256 = 0x11
    P384 = 0x14
    RSA4096 = 0x16  #: the vendor's, as of version 5.7
    SM2 = 0x54  #: another vendor's
    ED25519 = 0xE0  #: the vendor's, as of version 5.7


#: By SP 800-73 and 800-78; a plain card has no others.
STANDARD = frozenset((Algorithm.RSA2048, Algorithm.P256, Algorithm.P384))
VENDORS = frozenset(Algorithm)
NAMES = {
    "rsa2048": Algorithm.RSA2048,
    "rsa3072": Algorithm.RSA3072,
    "rsa4096": Algorithm.RSA4096,
    "p256": Algorithm.P256,
    "p384": Algorithm.P384,
    "ed25519": Algorithm.ED25519,
    "sm2": Algorithm.SM2,
}
_BITS = {Algorithm.RSA2048: 2048, Algorithm.RSA3072: 3072, Algorithm.RSA4096: 4096}
_CURVES: dict[int, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    Algorithm.P256: (ec.SECP256R1(), hashes.SHA256()),
    Algorithm.P384: (ec.SECP384R1(), hashes.SHA384()),
}


class Key(Protocol):
    """A private key of one algorithm."""

    def public(self) -> bytes:
        """The objects of its public key (SP 800-73-4, part 2, table 11)."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The answer to a challenge; 6A80 for data of a wrong length."""
        ...

    def encoded(self) -> bytes: ...

    def certificate(self, name: str) -> bytes:
        """Self-signed, DER."""
        ...


class RsaKey:
    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.private = key
        self._numbers = key.private_numbers()

    def public(self) -> bytes:
        numbers = self._numbers.public_numbers
        modulus = numbers.n.to_bytes(self.private.key_size // 8, "big")
        return tlv(0x81, modulus) + tlv(0x82, numbers.e.to_bytes(3, "big"))

    def sign(self, data: bytes) -> bytes:
        numbers, size = self._numbers, self.private.key_size // 8
        if len(data) != size:
            raise Status(SW.BAD_DATA)
        block = int.from_bytes(data, "big")
        if block >= numbers.public_numbers.n:
            raise Status(SW.BAD_DATA)
        m1, m2 = pow(block, numbers.dmp1, numbers.p), pow(block, numbers.dmq1, numbers.q)
        h = numbers.iqmp * (m1 - m2) % numbers.p
        return (m2 + h * numbers.q).to_bytes(size, "big")

    def encoded(self) -> bytes:
        return _encoded(self.private)

    def certificate(self, name: str) -> bytes:
        return certify(self.private, self.private.public_key(), name, hashes.SHA256())


class EcKey:
    def __init__(self, key: ec.EllipticCurvePrivateKey, algorithm: int) -> None:
        self.private = key
        self._curve, self._hash = _CURVES[algorithm]

    def public(self) -> bytes:
        point = self.private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        return tlv(0x86, point)

    def sign(self, data: bytes) -> bytes:
        size = self._hash.digest_size
        if len(data) > size:
            raise Status(SW.BAD_DATA)
        return self.private.sign(data.rjust(size, b"\0"), ec.ECDSA(utils.Prehashed(self._hash)))

    def encoded(self) -> bytes:
        return _encoded(self.private)

    def certificate(self, name: str) -> bytes:
        return certify(self.private, self.private.public_key(), name, self._hash)


class EdKey:
    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self.private = key

    def public(self) -> bytes:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return tlv(0x86, raw)

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)

    def encoded(self) -> bytes:
        return _encoded(self.private)

    def certificate(self, name: str) -> bytes:
        return certify(self.private, self.private.public_key(), name, None)


class Sm2Key:
    """The host makes e = SM3(ZA ‖ M)."""

    def __init__(self, pair: sm2.KeyPair) -> None:
        self._pair = pair

    def public(self) -> bytes:
        return tlv(0x86, b"\x04" + self._pair.point)

    def sign(self, data: bytes) -> bytes:
        if len(data) != sm2.DIGEST_BYTES:
            raise Status(SW.BAD_DATA)
        return sm2.der_signature(self._pair.sign(data))

    def encoded(self) -> bytes:
        return self._pair.pem()

    def certificate(self, name: str) -> bytes:
        """By openssl: ``cryptography`` knows no SM2."""
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder, "key.pem")
            pem.write_bytes(self._pair.pem())
            command = ["openssl", "req", "-x509", "-sm3", "-days", "3650", "-subj", f"/CN={name}"]
            done = subprocess.run(
                [*command, "-key", pem, "-outform", "DER"], capture_output=True, check=True
            )
        return done.stdout


def generate(algorithm: int) -> Key:
    if algorithm in _BITS:
        return RsaKey(rsa.generate_private_key(65537, _BITS[Algorithm(algorithm)]))
    if algorithm in _CURVES:
        return EcKey(ec.generate_private_key(_CURVES[algorithm][0]), algorithm)
    if algorithm == Algorithm.ED25519:
        return EdKey(ed25519.Ed25519PrivateKey.generate())
    return Sm2Key(sm2.KeyPair.generate())


def load(algorithm: int, encoded: bytes) -> Key:
    """What :meth:`Key.encoded` has given."""
    if algorithm == Algorithm.SM2:
        return Sm2Key(sm2.KeyPair.from_pem(encoded))
    key = load_der_private_key(encoded, None)
    if isinstance(key, rsa.RSAPrivateKey):
        return RsaKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return EcKey(key, algorithm)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return EdKey(key)


def imported(algorithm: int, parts: dict[int, bytes]) -> Key:
    """The key in the objects of the vendor's IMPORT: 01 p, 02 q; 06 the scalar; 07 Ed25519."""
    try:
        if algorithm in _BITS:
            p, q = (int.from_bytes(parts[tag], "big") for tag in (1, 2))
            n, d = p * q, pow(65537, -1, (p - 1) * (q - 1))
            numbers = rsa.RSAPrivateNumbers(
                p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, n)
            )
            return RsaKey(numbers.private_key())
        if algorithm in _CURVES:
            scalar = int.from_bytes(parts[6], "big")
            return EcKey(ec.derive_private_key(scalar, _CURVES[algorithm][0]), algorithm)
        if algorithm == Algorithm.ED25519:
            return EdKey(ed25519.Ed25519PrivateKey.from_private_bytes(parts[7]))
    except (KeyError, ValueError):
        pass
    raise Status(SW.BAD_DATA)


def certify(
    issuer: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    subject: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    name: str,
    digest: hashes.HashAlgorithm | None,
    *extensions: x509.UnrecognizedExtension,
    by: str = "",
) -> bytes:
    """A certificate for `subject`, signed by `issuer`, DER."""
    now = datetime.datetime(2025, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by or name))
        .public_key(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=9000))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    made = builder.sign(issuer, digest)
    return made.public_bytes(Encoding.DER)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _encoded(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
