# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The numbers of the specification (version 3.4), and what a card says of itself, decoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from keyservice.transport import tlv
from keyservice.transport.iso7816 import ResponseError


class Ins(IntEnum):
    """Instruction codes (7.1)."""

    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    RESET_RETRY_COUNTER = 0x2C
    GENERATE = 0x47
    INTERNAL_AUTHENTICATE = 0x88
    SELECT = 0xA4
    GET_DATA = 0xCA
    PUT_DATA = 0xDA


class Reference(IntEnum):
    """PINs (4.3): 81 and 82 are one, PW1. 81 lets the signature key sign, 82 the other two."""

    PW1_SIGN = 0x81
    PW1 = 0x82
    PW3 = 0x83


class Tag(IntEnum):
    """Data objects (4.4.1)."""

    AID = 0x4F
    APPLICATION = 0x6E
    DISCRETIONARY = 0x73
    ATTRIBUTES = 0xC3  #: of the authentication key, as all of these
    PIN_STATUS = 0xC4
    FINGERPRINTS = 0xC5
    FINGERPRINT = 0xC9
    DATE = 0xD0
    TOUCH = 0xD8
    ORIGINS = 0xDE
    KDF = 0xF9


APPLICATION, CONTAINER = "openpgp", "AUT"
#: Without version, maker and number (4.2.1).
AID = bytes.fromhex("d27600012401")
P1_SELECT_BY_NAME, P1_LOG_OUT = 0x04, 0xFF
P1_BY_CODE, P1_BY_ADMIN = 0x00, 0x02
P1_MAKE, P1_READ = 0x80, 0x81
#: Names the authentication key (7.2.14).
TEMPLATE = bytes.fromhex("a400")
#: No status word of ISO 7816: the card waited for a finger in vain (7, "reserved for UIF").
NOT_TOUCHED = 0x6600
#: Tries of a card: none tells how many it allows.
TRIES_ASSUMED = 3

_AID_BYTES, _PIN_STATUS_BYTES, _FINGERPRINT_BYTES = 16, 7, 20
_SERIAL = slice(8, 14)
_MANUFACTURERS = {
    "0005": "ZeitControl",
    "0006": "Yubico",
    "000F": "Nitrokey",
    "F1D0": "CanoKeys",
    "F517": "FSIJ",
}
_AUTHENTICATION = 3
_IMPORTED = 2
#: A PIN's highest length has this bit where PINs are blocks of format 2 (4.4.3.7).
_BLOCKS = 0x80


def parse_serial(aid: bytes) -> str:
    """Maker and number, 12 hexadecimal digits, as they are printed on cards."""
    if len(aid) != _AID_BYTES or not aid.startswith(AID):
        raise ResponseError("The card's AID is none of an OpenPGP card")
    return aid[_SERIAL].hex().upper()


def manufacturer_of(serial: str) -> str:
    """Empty where it is not known here."""
    return _MANUFACTURERS.get(serial[:4], "")


@dataclass(frozen=True, slots=True)
class PinStatus:
    """Object C4: lengths, and tries left of PW1, resetting code and PW3."""

    maximum: int  #: bytes of PW1
    admin_maximum: int  #: bytes of PW3
    code_maximum: int  #: bytes of the resetting code
    left: int
    code_left: int  #: 0 also where none is set
    admin_left: int

    @classmethod
    def parse(cls, data: bytes) -> PinStatus:
        if len(data) != _PIN_STATUS_BYTES:
            raise ResponseError(f"The PINs' status has {len(data)} bytes")
        _, pw1, code, pw3, left, code_left, admin_left = data
        if pw1 & _BLOCKS or pw3 & _BLOCKS:
            raise ResponseError(
                "The card takes PINs as blocks of format 2, which is not known here"
            )
        return cls(pw1, pw3, code, left, code_left, admin_left)


@dataclass(frozen=True, slots=True)
class Application:
    """Object 6E, as far as the authentication key goes."""

    attributes: bytes
    named: bool  #: it has a fingerprint, as gpg gives each key
    imported: bool
    touch: bool  #: it waits for a finger

    @classmethod
    def parse(cls, data: bytes) -> Application:
        told = tlv.parse(data)
        if Tag.APPLICATION in told:  # cards differ in whether the answer is the object or its value
            told = tlv.parse(told[Tag.APPLICATION])
        if Tag.DISCRETIONARY in told:
            told |= tlv.parse(told[Tag.DISCRETIONARY])
        attributes = told.get(Tag.ATTRIBUTES)
        if not attributes:
            raise ResponseError("The card does not tell its authentication key's algorithm")
        fingerprints = told.get(Tag.FINGERPRINTS, b"")
        origins, touch = told.get(Tag.ORIGINS, b""), told.get(Tag.TOUCH, b"\0")
        origin = dict(zip(origins[::2], origins[1::2], strict=False)).get(_AUTHENTICATION)
        return cls(
            attributes=attributes,
            named=any(fingerprints[2 * _FINGERPRINT_BYTES : 3 * _FINGERPRINT_BYTES]),
            imported=origin == _IMPORTED,
            touch=touch[:1] != b"\0",
        )
