# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each operation is asked with: one table for the frames, the bus and both their ends.

A field not listed for an operation is refused rather than ignored, and so are a flag without a
meaning and a text that is too long: a caller who believes that he asked for something is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .frames import Tag, build, number_of, parse_fields, text_of
from .names import DEADLINE_MAX, Flag, Operation
from .reasons import Reason


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of a request: its name in Python and on the bus, and its tag in a frame."""

    name: str
    tag: Tag
    signature: str  #: the D-Bus type: ``s`` or ``u``
    limit: int  #: the most bytes of UTF-8, or the greatest number


USER = Field("user", Tag.USER, "s", 256)
SERVICE = Field("service", Tag.SERVICE, "s", 256)
TTY = Field("tty", Tag.TTY, "s", 256)
RHOST = Field("rhost", Tag.RHOST, "s", 256)
LANG = Field("lang", Tag.LANG, "s", 64)
SERIAL = Field("serial", Tag.SERIAL, "s", 64)
APPLICATION = Field("application", Tag.APPLICATION, "s", 64)
CONTAINER = Field("container", Tag.CONTAINER, "s", 64)
FLAGS = Field("flags", Tag.FLAGS, "u", sum(Flag))
TIMEOUT = Field("timeout", Tag.TIMEOUT, "u", DEADLINE_MAX)

#: In the order of the arguments of the Begin methods.
FIELDS: Mapping[Operation, tuple[Field, ...]] = {
    Operation.AUTHENTICATION: (USER, SERVICE, TTY, RHOST, LANG, FLAGS, TIMEOUT),
    Operation.BIND: (USER, SERIAL, APPLICATION, CONTAINER, SERVICE, LANG, FLAGS, TIMEOUT),
    Operation.UNBIND: (USER, SERVICE, LANG, FLAGS, TIMEOUT),
    Operation.CHANGE_PIN: (USER, SERIAL, APPLICATION, SERVICE, TTY, RHOST, LANG, FLAGS, TIMEOUT),
    Operation.UNBLOCK_PIN: (SERIAL, APPLICATION, SERVICE, LANG, FLAGS, TIMEOUT),
    Operation.VERIFY_PIN: (USER, SERIAL, APPLICATION, SERVICE, LANG, FLAGS, TIMEOUT),
}

#: The name of the bus method that begins each operation.
BEGIN_METHODS: Mapping[Operation, str] = {
    Operation.AUTHENTICATION: "BeginAuthentication",
    Operation.BIND: "BeginBind",
    Operation.UNBIND: "BeginUnbind",
    Operation.CHANGE_PIN: "BeginChangePin",
    Operation.UNBLOCK_PIN: "BeginUnblockPin",
    Operation.VERIFY_PIN: "BeginVerifyPin",
}

Value = str | int


class RequestError(ValueError):
    """A request that cannot be meant. Its text names the field, never quotes its value."""


def arguments(operation: Operation, values: Mapping[str, Value]) -> list[Value]:
    """The checked values of `operation` in the order of ``FIELDS``; absent ones are "" or 0."""
    fields = FIELDS[operation]
    strange = {name for name, value in values.items() if value} - {field.name for field in fields}
    if strange:
        raise RequestError(f"{BEGIN_METHODS[operation]} takes no {', '.join(sorted(strange))}")
    return [check(field, values.get(field.name, _absent(field))) for field in fields]


def check(field: Field, value: object) -> Value:
    """`value`, if it is of the field's type and within its bounds. Raises RequestError."""
    if field.signature == "s":
        if not isinstance(value, str):
            raise RequestError(f"{field.name} is a text")
        try:
            length = len(value.encode())
        except UnicodeEncodeError:
            raise RequestError(Reason.NOT_UTF8.format(name=field.name)) from None
        if length > field.limit:
            raise RequestError(Reason.TOO_LONG.format(name=field.name, limit=field.limit))
        if "\0" in value:
            raise RequestError(Reason.NUL.format(name=field.name))
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{field.name} is a number")
    if not 0 <= value <= field.limit:
        raise RequestError(f"{field.name} is not within 0 and {field.limit}")
    return int(value)


def build_begin(operation: Operation, values: Mapping[str, Value]) -> bytearray:
    """The frame that begins `operation`. Empty fields are left out."""
    fields: dict[int, bytes] = {
        field.tag: value.encode() if isinstance(value, str) else value.to_bytes(2, "big")
        for field, value in zip(FIELDS[operation], arguments(operation, values), strict=True)
        if value
    }
    return build(operation, fields)


def parse_begin(operation: Operation, body: bytearray | memoryview) -> dict[str, Value]:
    """The checked fields of a begin frame's body, by name; absent ones are "" or 0.

    Raises ``frames.FrameError`` for a body that is malformed, RequestError for one that cannot be
    meant. Tags that this version does not know pass.
    """
    known = frozenset(Tag)
    parsed = parse_fields(body)
    expected = {field.tag for field in FIELDS[operation]}
    for tag in parsed:
        if tag in known and tag not in expected:
            raise RequestError(f"{BEGIN_METHODS[operation]} takes no {Tag(tag).name.lower()}")
    return {
        field.name: check(
            field,
            text_of(parsed, field.tag)
            if field.signature == "s"
            else number_of(parsed, field.tag, 2),
        )
        for field in FIELDS[operation]
    }


def _absent(field: Field) -> Value:
    return "" if field.signature == "s" else 0
