# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The results of operations, as fields of a worker's answer. The receiver checks all of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import starmap
from typing import Generic, TypeVar

from keyservice.core.text import is_plain
from keyservice.crypto.key import PublicKey

from . import choices
from .base import Container, Evidence, KeyRef, KeyUse, PinState, Remark, UkeyInfo
from .examination import (
    ATR_MAX,
    EXCHANGES_MAX,
    HEADER_BYTES,
    Examination,
    Exchange,
    Look,
)
from .fields import Fields, WireError, bytes_of, exactly, plain_of, some, text_of
from .text import is_name, is_serial

T = TypeVar("T")

#: Bytes of a public key, and of a signature, of any algorithm (RSA with 4096 bits has 550, 512).
KEY_MAX = SIGNATURE_MAX = 1024
#: Bytes of a certificate: two of them fit into one answer.
CERTIFICATE_MAX = 2000
_REMARKS = sum(Remark)
#: Bytes of UTF-8.
_ALGORITHM_MAX, _KIND_MAX, _LABEL_MAX, _MANUFACTURER_MAX = 16, 16, 32, 64


class Tag(IntEnum):
    """Fields of an answer that succeeded."""

    SERIAL = 0x01  # may be empty: some ukeys do not tell it at once
    KIND = 0x10
    LABEL = 0x11
    MANUFACTURER = 0x12
    KEY = 0x13
    SIGNATURE = 0x14
    PIN_STATE = 0x15  # maximum, left; 1: default, 2: not told
    CONTAINERS = 0x16
    NAMES = 0x17  # NUL between them
    ALGORITHM = 0x18  # of KEY
    KEY_USE = 0x1A  # needs the PIN, touch, remarks
    OWN = 0x1B
    STATEMENT = 0x1C
    ATR = 0x30
    LOOKS = 0x31


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """How one type of result crosses; `take` raises :class:`WireError`."""

    pack: Callable[[T], Mapping[int, bytes]]
    take: Callable[[Fields], T]


def _pack_nothing(_: None) -> Mapping[int, bytes]:
    return {}


def _take_nothing(fields: Fields) -> None: ...


def _pack_info(info: UkeyInfo) -> Mapping[int, bytes]:
    return {
        Tag.KIND: info.kind.encode(),
        Tag.SERIAL: info.serial.encode(),
        Tag.LABEL: info.label.encode(),
        Tag.MANUFACTURER: info.manufacturer.encode(),
    }


def _take_info(fields: Fields) -> UkeyInfo:
    """A ukey's info without the reader, which the service knows better."""
    serial = text_of(fields, Tag.SERIAL)
    if serial and not is_serial(serial):
        raise WireError("a serial that cannot be one")
    return UkeyInfo(
        kind=plain_of(fields, Tag.KIND, _KIND_MAX),
        reader="",
        serial=serial,
        label=plain_of(fields, Tag.LABEL, _LABEL_MAX),
        manufacturer=plain_of(fields, Tag.MANUFACTURER, _MANUFACTURER_MAX),
        virtual=False,
    )


def _pack_names(names: Sequence[str]) -> Mapping[int, bytes]:
    return {Tag.NAMES: "\0".join(names).encode()}


def _take_names(fields: Fields) -> Sequence[str]:
    packed = text_of(fields, Tag.NAMES)
    names = packed.split("\0") if packed else []
    if not all(map(is_name, names)):
        raise WireError("an application's name is not plain")
    return names


def _pack_containers(containers: Sequence[Container]) -> Mapping[int, bytes]:
    packed = b""
    for container in containers:
        application, name = container.ref.application.encode(), container.ref.container.encode()
        packed += bytes((container.has_key, len(application), len(name))) + application + name
    return {Tag.CONTAINERS: packed}


def _take_containers(fields: Fields) -> Sequence[Container]:
    packed = bytes_of(fields, Tag.CONTAINERS)
    containers, at = [], 0
    while at < len(packed):
        head = packed[at : at + 3]
        if len(head) < 3 or head[0] > 1 or at + 3 + head[1] + head[2] > len(packed):
            raise WireError("a list of containers is cut off")
        middle, end = at + 3 + head[1], at + 3 + head[1] + head[2]
        try:
            ref = KeyRef(packed[at + 3 : middle].decode(), packed[middle:end].decode())
        except UnicodeDecodeError:
            raise WireError("a container's name is not UTF-8") from None
        if not is_name(ref.application) or not is_name(ref.container):
            raise WireError("a container's name is not plain")
        containers.append(Container(ref, bool(head[0])))
        at = end
    return containers


def _pack_key(key: PublicKey) -> Mapping[int, bytes]:
    return {Tag.ALGORITHM: key.algorithm.encode(), Tag.KEY: key.encoded}


def _take_key(fields: Fields) -> PublicKey:
    algorithm = plain_of(fields, Tag.ALGORITHM, _ALGORITHM_MAX)
    return PublicKey(algorithm, some(fields, Tag.KEY, KEY_MAX))


def _pack_signature(signature: bytes) -> Mapping[int, bytes]:
    return {Tag.SIGNATURE: signature}


def _take_signature(fields: Fields) -> bytes:
    return some(fields, Tag.SIGNATURE, SIGNATURE_MAX)


def _pack_pin_state(state: PinState) -> Mapping[int, bytes]:
    flags = state.default | (not state.told) << 1
    return {Tag.PIN_STATE: bytes((state.maximum, state.left, flags))}


def _take_pin_state(fields: Fields) -> PinState:
    maximum, left, flags = exactly(fields, Tag.PIN_STATE, 3)
    if not left <= maximum or flags > 3:
        raise WireError("a PIN state that cannot be one")
    return PinState(maximum, left, bool(flags & 1), told=not flags & 2)


def _pack_key_use(use: KeyUse) -> Mapping[int, bytes]:
    return {Tag.KEY_USE: bytes((use.needs_pin, use.touch, use.remarks))}


def _take_key_use(fields: Fields) -> KeyUse:
    needs_pin, touch, remarks = exactly(fields, Tag.KEY_USE, 3)
    if needs_pin > 1 or touch > 1 or remarks & ~_REMARKS:
        raise WireError("a key's use that cannot be one")
    return KeyUse(bool(needs_pin), bool(touch), Remark(remarks))


_EXCHANGE = struct.Struct(f">{HEADER_BYTES}sHH")
#: Known, exchanges; then bytes of the kind's name, of the error, and of the settings.
_LOOK = struct.Struct(">BBBBB")


def _pack_examination(examination: Examination) -> Mapping[int, bytes]:
    packed = b""
    for look in examination.looks:
        kind, error, values = look.kind.encode(), look.error.encode(), choices.pack(look.values)
        packed += _LOOK.pack(look.known, len(look.exchanges), *map(len, (kind, error, values)))
        for each in look.exchanges:
            packed += _EXCHANGE.pack(each.header.ljust(HEADER_BYTES, b"\0"), each.sw, each.length)
        packed += kind + error + values
    return {Tag.ATR: examination.atr, Tag.LOOKS: packed}


def _take_examination(fields: Fields) -> Examination:
    atr, packed = bytes_of(fields, Tag.ATR), bytes_of(fields, Tag.LOOKS)
    if len(atr) > ATR_MAX:
        raise WireError("an ATR that cannot be one")
    looks = []
    while packed:
        try:
            look, packed = _take_look(packed)
        except (struct.error, ValueError, IndexError):
            raise WireError("a look is cut off, or makes no sense") from None
        looks.append(look)
    return Examination(atr, tuple(looks))


def _take_look(packed: bytes) -> tuple[Look, bytes]:
    """The first look, and the bytes behind it. Raises ValueError and its like, and WireError."""
    known, count, *lengths = _LOOK.unpack_from(packed)
    rest = packed[_LOOK.size :]
    at = count * _EXCHANGE.size
    if known > 1 or count > EXCHANGES_MAX or len(rest) < at + sum(lengths):
        raise WireError("a look that cannot be one")
    exchanges = tuple(starmap(Exchange, _EXCHANGE.iter_unpack(rest[:at])))
    parts = []
    for length in lengths:
        parts.append(rest[at : at + length])
        at += length
    kind, error = parts[0].decode(), parts[1].decode()
    if not is_plain(kind + error):
        raise WireError("a look is not plain text")
    values = choices.unusual(choices.unpack(parts[2]))
    return Look(kind, bool(known), exchanges, values, error), rest[at:]


def _pack_evidence(evidence: Evidence) -> Mapping[int, bytes]:
    return {Tag.OWN: evidence.own, Tag.STATEMENT: evidence.statement}


def _take_evidence(fields: Fields) -> Evidence:
    own, statement = bytes_of(fields, Tag.OWN), bytes_of(fields, Tag.STATEMENT)
    if max(len(own), len(statement)) > CERTIFICATE_MAX:
        raise WireError(f"a certificate has more than {CERTIFICATE_MAX} bytes")
    return Evidence(own, statement)


NOTHING = Result(_pack_nothing, _take_nothing)
INFO = Result(_pack_info, _take_info)
NAMES = Result(_pack_names, _take_names)
CONTAINERS = Result(_pack_containers, _take_containers)
KEY = Result(_pack_key, _take_key)
SIGNATURE = Result(_pack_signature, _take_signature)
PIN_STATE = Result(_pack_pin_state, _take_pin_state)
KEY_USE = Result(_pack_key_use, _take_key_use)
EXAMINATION = Result(_pack_examination, _take_examination)
EVIDENCE = Result(_pack_evidence, _take_evidence)
