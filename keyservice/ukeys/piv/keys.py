# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Key pairs on PIV cards: their algorithms' numbers, public keys, what is sent to be signed, and
what comes back."""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.core.errors import BadRequest, UkeyFailed
from keyservice.crypto.key import PublicKey
from keyservice.transport import tlv
from keyservice.transport.iso7816 import ResponseError

_RSA2048, _RSA3072, _RSA4096 = 0x07, 0x05, 0x16
_P256, _P384, _ED25519, _SM2 = 0x11, 0x14, 0xE0, 0x54
#: Those of pairs that do not sign, or that are too short: X25519, RSA with 1024 bits.
_UNFIT = frozenset((0xE1, 0x06))
#: What a new pair can be, by the setting's words.
NEW = {
    "p256": _P256,
    "p384": _P384,
    "rsa2048": _RSA2048,
    "rsa3072": _RSA3072,
    "rsa4096": _RSA4096,
    "ed25519": _ED25519,
    "sm2": _SM2,
}
_RSA_BITS = {2048: _RSA2048, 3072: _RSA3072, 4096: _RSA4096}

#: Bytes to sign: digests, and the DigestInfo that RSA pads.
_DIGESTS = {"p256": 32, "p384": 48, "ed25519": 32, "sm2": 32, "rsa": 51}
DATA_BYTES = frozenset(_DIGESTS.values())
#: SubjectPublicKeyInfo up to the key itself (RFC 5480, RFC 8410, GM/T 0009).
_PREFIXES = {
    "p256": bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    "p384": bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"),
    "ed25519": bytes.fromhex("302a300506032b6570032100"),
    "sm2": bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200"),
}
_NUMBERS = {"p256": _P256, "p384": _P384, "ed25519": _ED25519, "sm2": _SM2}
_KEY_BYTES = {"p256": 65, "p384": 97, "ed25519": 32, "sm2": 65}
#: AlgorithmIdentifier of RSA (RFC 3279, 2.3.1).
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
#: Bytes of r and of s.
_HALVES = {"p256": 32, "p384": 48, "sm2": 32}
_UNCOMPRESSED = 0x04
_SEQUENCE, _INTEGER, _BIT_STRING, _VERSION = 0x30, 0x02, 0x03, 0xA0
_MODULUS, _EXPONENT, _POINT = 0x81, 0x82, 0x86
_TEMPLATE, _CHALLENGE, _RESPONSE = 0x7C, 0x81, 0x82


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair that can sign."""

    number: int  #: of the algorithm, as the card has it
    key: PublicKey
    size: int  #: bytes of an RSA modulus, 0 for all others

    def challenge(self, data: bytes) -> bytes:
        """What GENERAL AUTHENTICATE asks for (SP 800-73-4, part 2, table 7): `data` as it is, for
        RSA padded as RFC 8017, 9.2, has it."""
        wanted = _DIGESTS[self.key.algorithm]
        if len(data) != wanted:
            raise BadRequest(f"the key signs {wanted} bytes")
        if self.size:
            data = b"\0\x01" + b"\xff" * (self.size - 3 - len(data)) + b"\0" + data
        return tlv.build(_TEMPLATE, tlv.build(_RESPONSE, b"") + tlv.build(_CHALLENGE, data))

    def signature(self, answer: bytes) -> bytes:
        """The signature in the form that its algorithm verifies: r ‖ s, or as it came."""
        signed = tlv.only(tlv.only(answer, _TEMPLATE), _RESPONSE)
        half = _HALVES.get(self.key.algorithm)
        if half is not None:
            return _raw(signed, half)
        length = self.size or 64
        if len(signed) != length:
            raise ResponseError(f"A signature has {len(signed)} bytes, not {length}")
        return signed


def of_template(number: int, template: bytes) -> Pair | None:
    """The pair with this public key (SP 800-73-4, part 2, table 11); None where it cannot sign."""
    told = tlv.parse(template)
    if number in _UNFIT:
        return None
    if _MODULUS in told:
        modulus, exponent = told[_MODULUS], told.get(_EXPONENT, b"")
        numbers = tlv.build(_SEQUENCE, _integer(modulus) + _integer(exponent))
        info = tlv.build(_SEQUENCE, _RSA + tlv.build(_BIT_STRING, b"\0" + numbers))
        return Pair(number, PublicKey("rsa", info), len(modulus.lstrip(b"\0")))
    point = told.get(_POINT, b"")
    names = [name for name, known in _NUMBERS.items() if known == number]
    # a card's number for SM2 can be configured: another one with a point of 256 bits is SM2's
    name = names[0] if names else "sm2"
    if len(point) != _KEY_BYTES[name]:
        return None
    return _pair(number, name, point)


def of_certificate(certificate: bytes) -> Pair | None:
    """The pair that a certificate (RFC 5280, 4.1) is about; None where it cannot sign. Nothing of
    the certificate is checked: what is wanted is the key."""
    fields = list(tlv.sequence(tlv.only(certificate, _SEQUENCE)))
    if not fields or fields[0][0] != _SEQUENCE:
        raise ResponseError("A certificate makes no sense")
    inner = list(tlv.sequence(fields[0][1]))
    if inner and inner[0][0] == _VERSION:
        inner = inner[1:]
    if len(inner) < 6:
        raise ResponseError("A certificate makes no sense")
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    tag, value = inner[5]
    return _of_info(tlv.build(tag, value))


def _of_info(info: bytes) -> Pair | None:
    for name, prefix in _PREFIXES.items():
        if info.startswith(prefix) and len(info) == len(prefix) + _KEY_BYTES[name]:
            return _pair(_NUMBERS[name], name, info[len(prefix) :])
    fields = list(tlv.sequence(tlv.only(info, _SEQUENCE)))
    if len(fields) != 2 or tlv.build(*fields[0]) != _RSA or fields[1][0] != _BIT_STRING:
        return None
    numbers = list(tlv.sequence(tlv.only(fields[1][1][1:], _SEQUENCE)))
    if len(numbers) != 2:
        raise ResponseError("A certificate's key makes no sense")
    size = len(numbers[0][1].lstrip(b"\0"))
    number = _RSA_BITS.get(size * 8)
    return None if number is None else Pair(number, PublicKey("rsa", info), size)


def _pair(number: int, name: str, key: bytes) -> Pair:
    if name != "ed25519" and key[0] != _UNCOMPRESSED:
        raise ResponseError("A public key's point is not uncompressed")
    # records hold X ‖ Y for SM2, and SubjectPublicKeyInfo for all others
    encoded = key[1:] if name == "sm2" else _PREFIXES[name] + key
    return Pair(number, PublicKey(name, encoded), 0)


def _integer(number: bytes) -> bytes:
    """A DER INTEGER that is not negative."""
    digits = number.lstrip(b"\0")
    if not digits:
        raise UkeyFailed("An RSA key's number is zero")
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return tlv.build(_INTEGER, digits)


def _raw(der: bytes, half: int) -> bytes:
    """r ‖ s of SEQUENCE { r INTEGER, s INTEGER }, each `half` bytes."""
    numbers = list(tlv.sequence(tlv.only(der, _SEQUENCE)))
    if [tag for tag, _ in numbers] != [_INTEGER, _INTEGER]:
        raise ResponseError("A signature is not two numbers")
    out = b""
    for _, number in numbers:
        digits = number.lstrip(b"\0")
        if len(digits) > half or (number and number[0] & 0x80):
            raise ResponseError("A signature's number is out of range")
        out += digits.rjust(half, b"\0")
    return out
