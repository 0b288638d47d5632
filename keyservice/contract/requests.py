# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each operation is asked with: one codec and one check for both ends of the sockets and bus.

A field not listed for an operation is refused rather than ignored, and so are a flag without a
meaning and a text that is too long: callers learn that they did not get what they asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyservice.core.reasons import Reason, Unfit

from .frames import Tag, build, number_of, parse_fields, text_of
from .operations import Field, Operation

Value = str | int


class RequestError(Unfit):
    """A request that is not valid. Its text names the field, and never quotes its value."""


def arguments(operation: Operation, values: Mapping[str, Value]) -> list[Value]:
    """The checked values of `operation` in the order of its fields; absent ones are "" or 0."""
    return _checked(operation, operation.fields, values)


def _checked(
    operation: Operation, fields: tuple[Field, ...], values: Mapping[str, Value]
) -> list[Value]:
    strange = {name for name, value in values.items() if value} - {field.name for field in fields}
    if strange:
        raise RequestError(f"{operation.method} takes no {', '.join(sorted(strange))}")
    return [check(field, values.get(field.name, _absent(field))) for field in fields]


def check(field: Field, value: object) -> Value:
    """`value`, if it is of the field's type and within its bounds. Raises RequestError."""
    if field.signature == "s":
        if not isinstance(value, str):
            raise RequestError(f"{field.name} is a text")
        try:
            length = len(value.encode())
        except UnicodeEncodeError:
            raise RequestError(Reason.NOT_UTF8, name=field.name) from None
        if length > field.limit:
            raise RequestError(Reason.TOO_LONG, name=field.name, limit=field.limit)
        if "\0" in value:
            raise RequestError(Reason.NUL, name=field.name)
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{field.name} is a number")
    if not 0 <= value <= field.limit:
        raise RequestError(f"{field.name} is not within 0 and {field.limit}")
    return int(value)


def build_begin(operation: Operation, values: Mapping[str, Value]) -> bytearray:
    """The frame that begins `operation`. Empty fields are left out."""
    checked = _checked(operation, operation.in_frame, values)
    fields: dict[int, bytes] = {
        field.tag: value.encode() if isinstance(value, str) else value.to_bytes(2, "big")
        for field, value in zip(operation.in_frame, checked, strict=True)
        if value
    }
    return build(operation.number, fields)


def parse_begin(operation: Operation, body: bytearray | memoryview) -> dict[str, Value]:
    """The checked fields of a begin frame's body, by name; absent ones are "" or 0.

    Raises ``frames.FrameError`` for a body that is malformed, RequestError for one that is not
    valid. Tags that this version does not know pass.
    """
    known = frozenset(Tag)
    parsed = parse_fields(body)
    expected = {field.tag for field in operation.in_frame}
    for tag in parsed:
        if tag in known and tag not in expected:
            raise RequestError(f"{operation.method} takes no {Tag(tag).name.lower()}")
    return {
        field.name: check(
            field,
            text_of(parsed, field.tag)
            if field.signature == "s"
            else number_of(parsed, field.tag, 2),
        )
        for field in operation.in_frame
    }


def _absent(field: Field) -> Value:
    return "" if field.signature == "s" else 0
