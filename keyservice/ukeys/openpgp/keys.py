# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The authentication key pair: algorithm attributes, its public key, what is sent to be signed, and
what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from keyservice.core.errors import BadRequest
from keyservice.crypto.key import PublicKey
from keyservice.transport import tlv
from keyservice.transport.iso7816 import ResponseError

_RSA, _ECDSA, _EDDSA = 0x01, 0x13, 0x16


@dataclass(frozen=True, slots=True)
class _Curve:
    number: int  #: of the algorithm
    name: bytes  #: its object identifier, without tag and length
    prefix: bytes  #: of SubjectPublicKeyInfo, up to the key (RFC 5480, RFC 8410, GM/T 0009)
    key: int  #: bytes
    half: int  #: bytes of r and of s, 0 where the signature is one
    digest: int  #: bytes


#: By the algorithms' names.
_CURVES = {
    "p256": _Curve(
        _ECDSA,
        bytes.fromhex("2a8648ce3d030107"),
        bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
        *(65, 32, 32),
    ),
    "p384": _Curve(
        _ECDSA,
        bytes.fromhex("2b81040022"),
        bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"),
        *(97, 48, 48),
    ),
    "ed25519": _Curve(
        _EDDSA,
        bytes.fromhex("2b06010401da470f01"),
        bytes.fromhex("302a300506032b6570032100"),
        *(32, 0, 32),
    ),
    "sm2": _Curve(_ECDSA, bytes.fromhex("2a811ccf5501822d"), b"", *(65, 32, 32)),
}
_RSA_BITS = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
#: DigestInfo of SHA-256. Cards sign up to 40 % of an RSA modulus (7.2.13), and that is never more.
_RSA_DIGEST = 51
_ED25519_BYTES = 64
#: Bytes that some algorithm signs.
DATA_BYTES = frozenset((*(curve.digest for curve in _CURVES.values()), _RSA_DIGEST))

#: AlgorithmIdentifier of RSA (RFC 3279, 2.3.1).
_RSA_IDENTIFIER = bytes.fromhex("300d06092a864886f70d0101010500")
_UNCOMPRESSED = 0x04
_SEQUENCE, _INTEGER, _BIT_STRING, _IDENTIFIER = 0x30, 0x02, 0x03, 0x06
_PUBLIC, _MODULUS, _EXPONENT, _POINT = 0x7F49, 0x81, 0x82, 0x86


def attributes(algorithm: str) -> bytes:
    """Algorithm attributes (4.4.3.9) for a new pair, by the setting's words."""
    bits = _RSA_BITS.get(algorithm)
    if bits is not None:
        return bytes((_RSA,)) + bits.to_bytes(2, "big") + bytes((0, 17, 0))
    curve = _CURVES[algorithm]
    name = tlv.build(_IDENTIFIER, curve.name) if algorithm == "sm2" else curve.name
    return bytes((curve.number,)) + name


def same(told: bytes, wanted: bytes) -> bool:
    """Whether a card's attributes are for the algorithm of `wanted`. RSA's exponent and the format
    of imports are the card's."""
    return told[:3] == wanted[:3] if wanted[0] == _RSA else _named(told) == _named(wanted)


def _named(attributes: bytes) -> str | None:
    """The algorithm, None for RSA and for what is not known here. A last byte FF is about imports,
    and the one card with SM2 gives its curve a tag and a length (measured)."""
    number, name = attributes[0], attributes[1:]
    if name[:1] == bytes((_IDENTIFIER,)) and name[1:2] == bytes((len(name) - 2,)):
        name = name[2:]
    for algorithm, curve in _CURVES.items():
        if curve.number == number and name in (curve.name, curve.name + b"\xff"):
            return algorithm
    return None


@dataclass(frozen=True, slots=True)
class Pair:
    """The authentication pair, if it can sign a login."""

    key: PublicKey
    size: int  #: bytes of an RSA modulus, 0 for all others

    def check(self, data: bytes) -> None:
        """Raise :class:`BadRequest` for what the key does not sign."""
        wanted = _RSA_DIGEST if self.size else _CURVES[self.key.algorithm].digest
        if len(data) != wanted:
            raise BadRequest(f"the key signs {wanted} bytes")

    def signature(self, signed: bytes) -> bytes:
        """The signature in the form that its algorithm verifies."""
        half = 0 if self.size else _CURVES[self.key.algorithm].half
        if not half:
            length = self.size or _ED25519_BYTES
            if len(signed) != length:
                raise ResponseError(f"A signature has {len(signed)} bytes, not {length}")
            return signed
        middle, odd = divmod(len(signed), 2)
        r, s = signed[:middle], signed[middle:]
        zeros = bytes(middle - half) if middle >= half else b""
        # a card may put a zero before each half (measured: 33 bytes)
        if odd or middle not in (half, half + 1) or not all(x.startswith(zeros) for x in (r, s)):
            raise ResponseError("A signature is not two numbers of the key's length")
        return r[-half:] + s[-half:]


def parse_public(answer: bytes) -> Mapping[int, bytes]:
    """The objects of a public key (7.2.14)."""
    return tlv.parse(tlv.only(answer, _PUBLIC))


def pair(attributes: bytes, told: Mapping[int, bytes]) -> Pair | None:
    """The pair with this public key; None where it cannot sign a login."""
    if attributes[0] == _RSA:
        modulus, exponent = told.get(_MODULUS, b""), told.get(_EXPONENT, b"")
        numbers = tlv.build(_SEQUENCE, _integer(modulus) + _integer(exponent))
        info = tlv.build(_SEQUENCE, _RSA_IDENTIFIER + tlv.build(_BIT_STRING, b"\0" + numbers))
        return Pair(PublicKey("rsa", info), len(modulus.lstrip(b"\0")))
    name = _named(attributes)
    if name is None:
        return None
    key = told.get(_POINT, b"")
    if len(key) != _CURVES[name].key or (name != "ed25519" and key[0] != _UNCOMPRESSED):
        raise ResponseError("The public key is none of its algorithm")
    # records hold X ‖ Y for SM2, and SubjectPublicKeyInfo for all others
    encoded = key[1:] if name == "sm2" else _CURVES[name].prefix + key
    return Pair(PublicKey(name, encoded), 0)


def fingerprint(attributes: bytes, told: Mapping[int, bytes], date: int) -> bytes:
    """What gpg calls the key: SHA-1 over its packet of version 4 (RFC 4880, 12.2). A slot without
    one is free to gpg, which then makes another key there without asking."""
    if attributes[0] == _RSA:
        material = _mpi(told.get(_MODULUS, b"")) + _mpi(told.get(_EXPONENT, b""))
        number = 1
    else:
        name = _named(attributes)
        assert name is not None
        point, eddsa = told.get(_POINT, b""), name == "ed25519"
        oid = _CURVES[name].name
        # RFC 6637, 9; of Ed25519 the point has a prefix of its own
        material = bytes((len(oid),)) + oid + _mpi((b"\x40" if eddsa else b"") + point)
        number = 22 if eddsa else 19
    packet = b"\x04" + date.to_bytes(4, "big") + bytes((number,)) + material
    head = b"\x99" + len(packet).to_bytes(2, "big")
    return hashlib.sha1(head + packet, usedforsecurity=False).digest()


def _mpi(number: bytes) -> bytes:
    digits = number.lstrip(b"\0")
    return int.from_bytes(digits, "big").bit_length().to_bytes(2, "big") + digits


def _integer(number: bytes) -> bytes:
    """A DER INTEGER that is not negative."""
    digits = number.lstrip(b"\0")
    if not digits:
        raise ResponseError("An RSA key's number is zero, or is missing")
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return tlv.build(_INTEGER, digits)
