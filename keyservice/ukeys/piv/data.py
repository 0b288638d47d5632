# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The numbers of SP 800-73-4 and SP 800-78-4, those of vendors, and what a card says, decoded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum

from keyservice.transport import tlv
from keyservice.transport.iso7816 import ResponseError
from keyservice.ukeys.base import PinState


class Ins(IntEnum):
    """Instruction codes; the last three are vendors'."""

    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    RESET_RETRY_COUNTER = 0x2C
    GENERATE = 0x47
    GENERAL_AUTHENTICATE = 0x87
    SELECT = 0xA4
    GET_DATA = 0xCB
    GET_METADATA = 0xF7
    GET_SERIAL = 0xF8
    ATTEST = 0xF9


class Reference(IntEnum):
    """What P2 names (SP 800-73-4, part 1, table 4b)."""

    PIN = 0x80
    PUK = 0x81
    CARD_AUTHENTICATION = 0x9E
    MANAGEMENT_KEY = 0x9B


class PinPolicy(IntEnum):
    NEVER = 1
    ONCE = 2
    ALWAYS = 3


APPLICATION = "piv"
AID = bytes.fromhex("a000000308")
P1_LOG_OUT = 0xFF
P1_SELECT_BY_NAME = 0x04
P1P2_CURRENT = (0x3F, 0xFF)
PIN_BYTES = 8
#: Tries of a card that does not tell how many it allows.
TRIES_ASSUMED = 3
TOUCH_NEVER, IMPORTED = 1, 2

#: The slots whose pairs sign, by the names of containers, and the objects with their certificates
#: (SP 800-73-4, part 1, tables 3 and 4b): authentication, signature, key management, card
#: authentication, and twenty retired ones.
SLOTS = {"9A": 0x5FC105, "9C": 0x5FC10A, "9D": 0x5FC10B, "9E": 0x5FC101}
SLOTS |= {f"{0x82 + number:02X}": 0x5FC10D + number for number in range(20)}

#: The object of a vendor's slot F9, whose pair signs what the card says of others.
ATTESTATION = 0x5FFF01

_CHUID = 0x5FC102
_NAME, _CONTENT = 0x5C, 0x53
_GUID, _GUID_BYTES = 0x34, 16
_CERTIFICATE, _CERTIFICATE_INFO, _COMPRESSED = 0x70, 0x71, 0x01
#: Bytes of a certificate, unpacked.
_CERTIFICATE_MAX = 8192


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a vendor's card says of a pair, a PIN or the management key; None for what it leaves
    out."""

    algorithm: int | None
    pin_policy: int | None
    touch_policy: int | None
    origin: int | None
    public_key: bytes | None
    default: bool
    tries: tuple[int, int] | None  #: maximum, left

    @classmethod
    def parse(cls, data: bytes) -> Metadata:
        if not data:
            raise ResponseError("The metadata are empty")
        told = tlv.parse(data)
        policies, tries = told.get(0x02, b""), told.get(0x06, b"")
        return cls(
            algorithm=_number(told.get(0x01)),
            pin_policy=policies[0] if len(policies) == 2 else None,
            touch_policy=policies[1] if len(policies) == 2 else None,
            origin=_number(told.get(0x03)),
            public_key=told.get(0x04),
            default=told.get(0x05) == b"\x01",
            tries=(tries[0], tries[1]) if len(tries) == 2 else None,
        )

    @property
    def has_key(self) -> bool:
        """An empty slot of some cards has metadata, but neither of these."""
        return self.algorithm is not None and self.public_key is not None

    def pin_state(self) -> PinState:
        """A PIN's, or the PUK's."""
        if self.tries is None:
            raise ResponseError("The metadata do not tell the tries")
        maximum, left = self.tries
        if maximum == 0 or left > maximum:
            raise ResponseError(f"The metadata tell of {left} tries left out of {maximum}")
        return PinState(maximum, left, self.default)


def assumed_state(left: int) -> PinState:
    """The state of a PIN with so many tries left, whose maximum is not told."""
    return PinState(max(TRIES_ASSUMED, left), left, default=False)


def object_name(tag: int) -> bytes:
    """What GET DATA asks for."""
    return tlv.build(_NAME, tag.to_bytes(3, "big"))


CHUID_NAME = object_name(_CHUID)


def parse_guid(answer: bytes) -> str:
    """The GUID in the CHUID, 32 hexadecimal digits; empty where none is set."""
    guid = tlv.parse(tlv.only(answer, _CONTENT)).get(_GUID, b"")
    return guid.hex() if len(guid) == _GUID_BYTES and any(guid) else ""


def parse_certificate(answer: bytes) -> bytes | None:
    """The certificate in its object, DER; None where there is none (SP 800-73-4, part 1, A)."""
    told = tlv.parse(tlv.only(answer, _CONTENT))
    certificate = told.get(_CERTIFICATE)
    if not certificate:
        return None
    info = told.get(_CERTIFICATE_INFO, b"\0")
    if not info or not info[0] & _COMPRESSED:
        return certificate
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(certificate, _CERTIFICATE_MAX)
    except zlib.error:
        raise ResponseError("The certificate cannot be unpacked") from None
    if not unpacking.eof:
        raise ResponseError(f"The certificate has more than {_CERTIFICATE_MAX} bytes")
    return unpacked


def _number(value: bytes | None) -> int | None:
    return value[0] if value is not None and len(value) == 1 else None
