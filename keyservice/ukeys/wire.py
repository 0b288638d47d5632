# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the service and its device workers say to each other: plain data in frames.

The service trusts nothing in a worker's message, and checks its form to the last byte: a worker
parses what a device sends, so the device may have taken it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from keyservice.contract import frames
from keyservice.core.errors import (
    BadRequest,
    ManagementKeyWrong,
    NoKeyPair,
    NotTouched,
    PcscdAbsent,
    PinLocked,
    PinRefused,
    PinWrong,
    ReaderAbsent,
    TryWithheld,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyHeld,
    UkeyRemoved,
    UkeyUnknown,
)
from keyservice.core.reasons import WHY, Reason
from keyservice.core.secret import Secret
from keyservice.core.text import plain

from . import choices, results
from .base import KeyRef, PinState, TryReserve
from .fields import Fields, WireError, bytes_of, number_of, parse, text_of
from .kind import Values
from .operations import OPERATIONS, Arguments, Operation
from .text import is_name

T = TypeVar("T")

_TEXT_MAX = 200


class Kind(IntEnum):
    """The kinds of a worker's answers; the kinds of requests are the numbers of the operations."""

    DONE = 0x40
    FAILED = 0x41


class Tag(IntEnum):
    """Fields, beside those of :mod:`keyservice.ukeys.results`. Numbers are one byte."""

    SERIAL = 0x01  # of the ukey that is meant
    APPLICATION = 0x02
    CONTAINER = 0x03
    PIN = 0x04
    NEW_PIN = 0x05
    RESERVE = 0x06
    DATA = 0x07
    ADMIN = 0x08
    SETTINGS = 0x09  # of all kinds of ukey: the choice for each
    SEEN_PIN = 0x19  # the user PIN, in an answer of either kind
    ERROR = 0x20  # index into _ERRORS
    LEFT = 0x21
    MAXIMUM = 0x22
    TEXT = 0x23
    MINIMUM = 0x24


#: The errors that a worker may answer with; a subclass that is not among them becomes the first
#: that it is. Append only: during an upgrade the service may be older than its worker.
_ERRORS: tuple[type[UkeyError], ...] = (
    *(UkeyRemoved, UkeyAbsent, PcscdAbsent, ReaderAbsent, UkeyHeld, UkeyUnknown, NoKeyPair),
    *(PinWrong, PinLocked, TryWithheld, PinRefused, BadRequest, UkeyFailed),
    *(ManagementKeyWrong, NotTouched),
)
_FACTS = ((Tag.LEFT, "left"), (Tag.MAXIMUM, "maximum"), (Tag.MINIMUM, "minimum"))

# -- service to worker


@dataclass(frozen=True, slots=True)
class Request:
    """One operation, as a worker reads it."""

    operation: Operation[object]
    serial: str
    values: Values
    arguments: Arguments


def build_request(
    operation: Operation[T],
    serial: str = "",
    values: Values | None = None,
    arguments: Arguments | None = None,
) -> bytearray:
    """The message for a worker. It may hold PINs: its sender wipes it.

    Raises :class:`BadRequest` for names that no ukey can have.
    """
    arguments = arguments or Arguments()
    fields: dict[int, bytes | memoryview] = {
        Tag.SERIAL: serial.encode(),
        Tag.SETTINGS: choices.pack(values or {}),
        Tag.RESERVE: bytes((arguments.reserve,)),
        Tag.ADMIN: bytes((arguments.admin,)),
        Tag.DATA: arguments.data,
    }
    ref = arguments.ref
    if ref is not None:
        if not is_name(ref.application) or not is_name(ref.container):
            raise BadRequest(Reason.UKEY_NAME)
        fields[Tag.APPLICATION] = ref.application.encode()
        fields[Tag.CONTAINER] = ref.container.encode()
    for tag, pin in ((Tag.PIN, arguments.pin), (Tag.NEW_PIN, arguments.new_pin)):
        if len(pin):
            fields[tag] = pin.view()
    return frames.build(operation.number, fields)


def parse_request(message: bytearray) -> Request:
    """Take a request apart. The caller wipes `message`; the request owns its secrets."""
    number, fields = parse(message)
    ref = None
    if Tag.APPLICATION in fields:
        ref = KeyRef(text_of(fields, Tag.APPLICATION), text_of(fields, Tag.CONTAINER))
    return Request(
        operation=OPERATIONS[number],
        serial=text_of(fields, Tag.SERIAL),
        values=choices.unpack(bytes(fields[Tag.SETTINGS])),
        arguments=Arguments(
            ref=ref,
            pin=Secret(fields.get(Tag.PIN, b"")),
            new_pin=Secret(fields.get(Tag.NEW_PIN, b"")),
            reserve=TryReserve(number_of(fields, Tag.RESERVE)),
            data=bytes(fields[Tag.DATA]),
            admin=bool(number_of(fields, Tag.ADMIN)),
        ),
    )


# -- worker to service


def build_done(operation: Operation[T], result: T, seen_pin: PinState | None) -> bytearray:
    """The message that an operation has succeeded, and what it brought."""
    return frames.build(Kind.DONE, {**operation.result.pack(result), **_seen(seen_pin)})


def build_failed(error: UkeyError, seen_pin: PinState | None) -> bytearray:
    """The message that an operation has failed as `error` says."""
    known = type(error) in _ERRORS
    index = next(
        i
        for i, kind in enumerate(_ERRORS)
        if (type(error) is kind if known else isinstance(error, kind))
    )
    fields = {**_seen(seen_pin), Tag.ERROR: bytes((index,))}
    if error.message != error.default():
        fields[Tag.TEXT] = error.message.encode()[:_TEXT_MAX]
    for tag, fact in _FACTS:
        if fact in error.facts:
            fields[tag] = bytes((int(error.facts[fact]),))
    return frames.build(Kind.FAILED, fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker answered, whether it succeeded or not."""

    fields: Fields
    error: UkeyError | None
    #: The user PIN's state, where the operation saw it.
    seen_pin: PinState | None

    def take(self, operation: Operation[T]) -> T:
        """What the operation brought. Raises :class:`WireError`."""
        return operation.result.take(self.fields)


def parse_answer(message: bytearray, reader: str) -> Answer:
    """Take a worker's answer apart. Raises :class:`WireError`."""
    kind, fields = parse(message)
    seen_pin = None
    if Tag.SEEN_PIN in fields:
        seen_pin = results.PIN_STATE.take({results.Tag.PIN_STATE: fields[Tag.SEEN_PIN]})
    if kind == Kind.DONE:
        return Answer(fields, None, seen_pin)
    if kind != Kind.FAILED:
        raise WireError("an answer of no kind")
    index = number_of(fields, Tag.ERROR)
    if index >= len(_ERRORS):
        raise WireError("an error that is not known")
    facts: dict[str, str | int] = {"reader": reader}
    for tag, fact in _FACTS:
        if tag in fields:
            facts[fact] = number_of(fields, tag)
    if _ERRORS[index] is UkeyHeld:
        facts[WHY] = Reason.READER_HELD
    text = plain(bytes_of(fields, Tag.TEXT)[:_TEXT_MAX].decode("utf-8", "replace"))
    return Answer(fields, _ERRORS[index](text, **facts), seen_pin)


# -- fields


def _seen(state: PinState | None) -> dict[int, bytes]:
    if state is None:
        return {}
    return {Tag.SEEN_PIN: results.PIN_STATE.pack(state)[results.Tag.PIN_STATE]}
