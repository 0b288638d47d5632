# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The numbers of GM/T 0017-2012 as implementations speak it, and what a ukey says, decoded.

Every ``parse`` takes exactly the bytes that it names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from keyservice.core.text import plain
from keyservice.transport.iso7816 import ResponseError
from keyservice.ukeys.base import PinState
from keyservice.ukeys.text import is_name, is_serial

from .settings import ByteOrder


class Ins(IntEnum):
    """Instruction codes."""

    GET_DEV_INFO = 0x04
    GET_PIN_INFO = 0x14
    CHANGE_PIN = 0x16
    VERIFY_PIN = 0x18
    UNBLOCK_PIN = 0x1A
    CLEAR_SECURE_STATE = 0x1C
    ENUM_APPLICATION = 0x22
    OPEN_APPLICATION = 0x26
    CLOSE_APPLICATION = 0x28
    CREATE_CONTAINER = 0x40
    OPEN_CONTAINER = 0x42
    ENUM_CONTAINER = 0x46
    GET_CONTAINER_INFO = 0x4A
    GEN_RANDOM = 0x50
    GEN_ECC_KEY_PAIR = 0x70
    ECC_SIGN_DATA = 0x74
    EXPORT_PUBLIC_KEY = 0x88


class Role(IntEnum):
    """P2 of the PIN commands."""

    ADMIN = 0
    USER = 1


CLA = 0x80
CLA_MAC = 0x84
P1_HOST_HASH = 0x02  #: ECCSignData over e, made on the host
P1_SIGNING_KEY = 0x01
ID_BYTES = 2
DIGEST_BYTES = 32
#: Over all applications of a ukey.
CONTAINERS_MAX = 32
POINT_BYTES = 64
SIGNATURE_BYTES = 64
KEY_BITS = 256
#: Names in one list; real ukeys have a handful.
NAMES_MAX = 64

_LIST_END = b"\0\0"
_PREFIX = {ByteOrder.LITTLE: "<", ByteOrder.BIG: ">"}


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The parts of GetDevInfo that are used; 288 bytes."""

    manufacturer: str
    label: str
    serial: str  #: empty for about a second after some ukeys were plugged in

    LENGTH = 288

    @classmethod
    def parse(cls, data: bytes) -> DeviceInfo:
        _exactly(data, cls.LENGTH, "GetDevInfo")
        return cls(
            manufacturer=_text(data[4:68]),
            label=_text(data[132:164]),
            serial=_serial(data[164:196]),
        )


@dataclass(frozen=True, slots=True)
class OpenedApplication:
    """The answer to OpenApplication, 10 bytes; only the id is used, and echoed as it came."""

    id: bytes

    LENGTH = 10

    @classmethod
    def parse(cls, data: bytes) -> OpenedApplication:
        _exactly(data, cls.LENGTH, "OpenApplication")
        return cls(data[8:])


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """The answer to GetContainerInfo, 11 bytes."""

    type: int  #: 0 empty, 1 RSA, 2 ECC
    signing_bits: int

    LENGTH = 11
    ECC = 2

    @classmethod
    def parse(cls, data: bytes, order: ByteOrder) -> ContainerInfo:
        _exactly(data, cls.LENGTH, "GetContainerInfo")
        kind, signing, _exchange, _sign_cert, _exchange_cert = struct.unpack(
            _PREFIX[order] + "BIIBB", data
        )
        return cls(kind, signing)

    @property
    def has_key(self) -> bool:
        """Whether an SM2 signing pair is there."""
        return self.type == self.ECC and self.signing_bits == KEY_BITS


def parse_pin_state(data: bytes) -> PinState:
    """The answer to GetPINInfo: maximum, remaining, is default; 3 bytes."""
    _exactly(data, 3, "GetPINInfo")
    maximum, left, default = data
    if maximum == 0 or left > maximum:
        raise ResponseError(f"GetPINInfo tells of {left} tries left out of {maximum}")
    return PinState(maximum, left, bool(default))


def parse_sized(data: bytes, order: ByteOrder, command: str) -> bytes:
    """The 64 bytes behind a BitLen of 256: X ‖ Y, or r ‖ s; 68 bytes."""
    _exactly(data, 4 + 64, command)
    (bits,) = struct.unpack_from(_PREFIX[order] + "I", data)
    if bits != KEY_BITS:
        swapped = int.from_bytes(bits.to_bytes(4, "big"), "little") == KEY_BITS
        hint = ": set its quirk byte_order" if swapped else ""
        raise ResponseError(f"{command} tells of a key of {bits} bits, not {KEY_BITS}{hint}")
    return data[4:]


def build_bits(order: ByteOrder) -> bytes:
    """The key size that GenECCKeyPair is asked for; 4 bytes."""
    return struct.pack(_PREFIX[order] + "I", KEY_BITS)


def parse_names(data: bytes, limit: int) -> list[str]:
    """A list of names, each ended by a NUL, the list by another; the empty list may be no bytes,
    or one NUL. Nothing follows the end of the list.

    Names that cannot be shown or typed (not UTF-8, control characters, over `limit` bytes) are
    left out: nobody could ask for them.
    """
    if data in (b"", b"\0", _LIST_END):
        return []
    if data.find(_LIST_END) != len(data) - len(_LIST_END):
        raise ResponseError("A list of names does not end with its only two zeros")
    raw = data.removesuffix(_LIST_END).split(b"\0")
    if len(raw) > NAMES_MAX:
        raise ResponseError(f"A list of {len(raw)} names, over {NAMES_MAX}")
    names = []
    for item in raw:
        try:
            name = item.decode()
        except UnicodeDecodeError:
            continue
        if is_name(name, limit):
            names.append(name)
    return names


def _exactly(data: bytes, length: int, command: str) -> None:
    if len(data) != length:
        raise ResponseError(f"{command} brings {len(data)} bytes, not {length}")


def _text(field: bytes) -> str:
    """A text field up to its first NUL; what cannot be shown becomes a question mark."""
    return plain(field.split(b"\0", 1)[0].decode("utf-8", "replace").strip())


def _serial(field: bytes) -> str:
    """The serial, up to the field's first NUL. It names a ukey in records and logs, so nothing is
    replaced here."""
    serial = field.split(b"\0", 1)[0].strip(b" ").decode("latin-1")
    if serial and not is_serial(serial):
        raise ResponseError(
            "The ukey's serial holds a space, or no printable ASCII: its maker has to mend it"
        )
    return serial
