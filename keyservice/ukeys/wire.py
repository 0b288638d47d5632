# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the service and its device workers say to each other: plain data in frames.

The service believes nothing that a worker says beyond its form, which is checked here to the last
byte: whoever parses what a device sends may have been taken over by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from keyservice.contract import frames
from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    PinLocked,
    PinRefused,
    PinWrong,
    ReaderAbsent,
    TryWithheld,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyRemoved,
    UkeyUnknown,
)
from keyservice.core.secret import Secret

from .base import Container, Keep, KeyRef, PinState, PublicKey, UkeyInfo
from .fields import (
    Fields,
    WireError,
    bytes_of,
    exactly,
    number_of,
    parse,
    plain_of,
    text_of,
)
from .quirks import ByteOrder, ExpectedLength, MacLength, PinHash, Quirks
from .text import is_name, is_serial, plain

POINT_BYTES = 64
SIGNATURE_BYTES = 64
_TEXT_MAX = 200
#: Bytes of UTF-8.
_KIND_MAX, _LABEL_MAX, _MANUFACTURER_MAX = 16, 32, 64


class Op(IntEnum):
    """What the service asks of a worker."""

    PROBE = 0x01  #: recognise what is in the reader
    CONTAINERS = 0x02
    PUBLIC_KEY = 0x03
    PIN_STATE = 0x04
    VERIFY_PIN = 0x05
    SIGN = 0x06
    CHANGE_PIN = 0x07
    UNBLOCK_PIN = 0x08
    GENERATE = 0x09
    APPLICATIONS = 0x0A


class Kind(IntEnum):
    """What a worker answers."""

    DONE = 0x40
    FAILED = 0x41


class Tag(IntEnum):
    """Fields. Numbers are one byte unless said otherwise."""

    SERIAL = 0x01  # of the ukey that is meant, or that is there
    APPLICATION = 0x02
    CONTAINER = 0x03
    PIN = 0x04  # the one that is spent a try on
    NEW_PIN = 0x05
    KEEP = 0x06
    DIGEST = 0x07
    ADMIN = 0x08
    QUIRKS = 0x09
    KIND = 0x10
    LABEL = 0x11
    MANUFACTURER = 0x12
    POINT = 0x13
    SIGNATURE = 0x14
    PIN_STATE = 0x15  # maximum, left, default
    CONTAINERS = 0x16
    APPLICATIONS = 0x17  # names, NUL between them
    ERROR = 0x20  # index into _ERRORS
    LEFT = 0x21
    MAXIMUM = 0x22
    TEXT = 0x23


#: What may come out of a worker; a subclass comes out as the first that it is.
_ERRORS: tuple[type[UkeyError], ...] = (
    *(UkeyRemoved, UkeyAbsent, ReaderAbsent, UkeyUnknown, NoKeyPair),
    *(PinWrong, PinLocked, TryWithheld, PinRefused, BadRequest, UkeyFailed),
)

# -- service to worker


@dataclass(frozen=True, slots=True)
class Request:
    """One operation, as a worker reads it."""

    op: Op
    serial: str
    ref: KeyRef
    quirks: Quirks
    keep: Keep
    admin: bool
    digest: bytes
    pin: Secret
    new_pin: Secret

    def wipe(self) -> None:
        self.pin.wipe()
        self.new_pin.wipe()


def build_request(
    op: Op,
    serial: str = "",
    ref: KeyRef | None = None,
    quirks: Quirks | None = None,
    *,
    keep: Keep = Keep.RESERVE,
    admin: bool = False,
    digest: bytes = b"",
    pin: Secret | None = None,
    new_pin: Secret | None = None,
) -> bytearray:
    """The message for a worker. It may hold PINs: whoever sends it wipes it.

    Raises :class:`BadRequest` for names that no ukey can have.
    """
    fields: dict[int, bytes | memoryview] = {
        Tag.SERIAL: serial.encode(),
        Tag.QUIRKS: _pack_quirks(quirks or Quirks()),
        Tag.KEEP: bytes((keep,)),
        Tag.ADMIN: bytes((admin,)),
        Tag.DIGEST: digest,
    }
    if ref is not None:
        if not is_name(ref.application) or not is_name(ref.container):
            raise BadRequest("an application's or container's name has 1 to 48 plain bytes")
        fields[Tag.APPLICATION] = ref.application.encode()
        fields[Tag.CONTAINER] = ref.container.encode()
    if pin is not None:
        fields[Tag.PIN] = pin.view()
    if new_pin is not None:
        fields[Tag.NEW_PIN] = new_pin.view()
    return frames.build(op, fields)


def parse_request(message: bytearray) -> Request:
    """Take a request apart; `message` is the caller's to wipe, the request's secrets its own."""
    kind, fields = parse(message)
    return Request(
        op=Op(kind),
        serial=text_of(fields, Tag.SERIAL),
        ref=KeyRef(text_of(fields, Tag.APPLICATION), text_of(fields, Tag.CONTAINER)),
        quirks=_unpack_quirks(bytes(fields[Tag.QUIRKS])),
        keep=Keep(number_of(fields, Tag.KEEP)),
        admin=bool(number_of(fields, Tag.ADMIN)),
        digest=bytes(fields[Tag.DIGEST]),
        pin=Secret(fields.get(Tag.PIN, b"")),
        new_pin=Secret(fields.get(Tag.NEW_PIN, b"")),
    )


# -- worker to service


def build_done(
    *,
    info: UkeyInfo | None = None,
    applications: Iterable[str] | None = None,
    containers: Iterable[Container] | None = None,
    key: PublicKey | None = None,
    signature: bytes | None = None,
    pin_state: PinState | None = None,
) -> bytearray:
    """The message that an operation has succeeded."""
    fields: dict[int, bytes] = _pin_state_field(pin_state)
    if info is not None:
        fields[Tag.KIND] = info.kind.encode()
        fields[Tag.SERIAL] = info.serial.encode()
        fields[Tag.LABEL] = info.label.encode()
        fields[Tag.MANUFACTURER] = info.manufacturer.encode()
    if applications is not None:
        fields[Tag.APPLICATIONS] = "\0".join(applications).encode()
    if containers is not None:
        fields[Tag.CONTAINERS] = b"".join(map(_pack_container, containers))
    if key is not None:
        fields[Tag.POINT] = key.point
    if signature is not None:
        fields[Tag.SIGNATURE] = signature
    return frames.build(Kind.DONE, fields)


def build_failed(error: UkeyError, pin_state: PinState | None) -> bytearray:
    """The message that an operation has failed as `error` says."""
    index = next(i for i, kind in enumerate(_ERRORS) if isinstance(error, kind))
    fields = _pin_state_field(pin_state)
    fields[Tag.ERROR] = bytes((index,))
    if error.message != error.default():
        fields[Tag.TEXT] = error.message.encode()[:_TEXT_MAX]
    for tag, fact in ((Tag.LEFT, "left"), (Tag.MAXIMUM, "maximum")):
        if fact in error.facts:
            fields[tag] = bytes((int(error.facts[fact]),))
    return frames.build(Kind.FAILED, fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker answered, whether it succeeded or not. Each accessor checks what it takes."""

    fields: Fields
    error: UkeyError | None
    #: The user PIN's state, where the operation saw it.
    pin_state: PinState | None

    def info(self, reader: str, virtual: bool) -> UkeyInfo:
        """The ukey in `reader`; its serial may be empty."""
        serial = text_of(self.fields, Tag.SERIAL)
        if serial and not is_serial(serial):
            raise WireError("a serial that cannot be one")
        return UkeyInfo(
            kind=plain_of(self.fields, Tag.KIND, _KIND_MAX),
            reader=reader,
            serial=serial,
            label=plain_of(self.fields, Tag.LABEL, _LABEL_MAX),
            manufacturer=plain_of(self.fields, Tag.MANUFACTURER, _MANUFACTURER_MAX),
            virtual=virtual,
        )

    def applications(self) -> list[str]:
        packed = text_of(self.fields, Tag.APPLICATIONS)
        names = packed.split("\0") if packed else []
        if not all(map(is_name, names)):
            raise WireError("an application's name is not plain")
        return names

    def containers(self) -> list[Container]:
        return _unpack_containers(bytes_of(self.fields, Tag.CONTAINERS))

    def key(self) -> PublicKey:
        return PublicKey("sm2", exactly(self.fields, Tag.POINT, POINT_BYTES))

    def signature(self) -> bytes:
        return exactly(self.fields, Tag.SIGNATURE, SIGNATURE_BYTES)

    def state(self) -> PinState:
        """The PIN state that was asked for, of either role."""
        if self.pin_state is None:
            raise WireError("no PIN state")
        return self.pin_state


def parse_answer(message: bytearray, reader: str) -> Answer:
    """Take a worker's answer apart. Raises :class:`WireError`."""
    kind, fields = parse(message)
    pin_state = _parse_pin_state(fields)
    if kind == Kind.DONE:
        return Answer(fields, None, pin_state)
    if kind != Kind.FAILED:
        raise WireError("an answer of no kind")
    index = number_of(fields, Tag.ERROR)
    if index >= len(_ERRORS):
        raise WireError("an error that is not known")
    facts: dict[str, str | int] = {"reader": reader}
    for tag, fact in ((Tag.LEFT, "left"), (Tag.MAXIMUM, "maximum")):
        if tag in fields:
            facts[fact] = number_of(fields, tag)
    text = plain(bytes_of(fields, Tag.TEXT)[:_TEXT_MAX].decode("utf-8", "replace"))
    return Answer(fields, _ERRORS[index](text, **facts), pin_state)


# -- fields


def _pin_state_field(state: PinState | None) -> dict[int, bytes]:
    if state is None:
        return {}
    return {Tag.PIN_STATE: bytes((state.maximum, state.left, state.default))}


def _parse_pin_state(fields: Fields) -> PinState | None:
    if Tag.PIN_STATE not in fields:
        return None
    maximum, left, default = exactly(fields, Tag.PIN_STATE, 3)
    if not left <= maximum or default > 1:
        raise WireError("a PIN state that cannot be one")
    return PinState(maximum, left, bool(default))


_BYTE_ORDERS, _MAC_LENGTHS = tuple(ByteOrder), tuple(MacLength)
_EXPECTED_LENGTHS, _PIN_HASHES = tuple(ExpectedLength), tuple(PinHash)


def _pack_quirks(quirks: Quirks) -> bytes:
    return bytes(
        (
            _BYTE_ORDERS.index(quirks.byte_order),
            _MAC_LENGTHS.index(quirks.mac_length),
            _EXPECTED_LENGTHS.index(quirks.expected_length),
            _PIN_HASHES.index(quirks.pin_hash),
            quirks.name_length,
        )
    )


def _unpack_quirks(packed: bytes) -> Quirks:
    order, mac, length, pin_hash, name_length = packed
    return Quirks(
        _BYTE_ORDERS[order],
        _MAC_LENGTHS[mac],
        _EXPECTED_LENGTHS[length],
        _PIN_HASHES[pin_hash],
        name_length,
    )


def _pack_container(container: Container) -> bytes:
    application, name = container.ref.application.encode(), container.ref.container.encode()
    sizes = bytes((container.has_key, len(application), len(name)))
    return sizes + application + name


def _unpack_containers(packed: bytes) -> list[Container]:
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
