# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What an operation takes, what is refused, and that the documents say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.access.operations import BY_NUMBER, FUNCTIONS
from keyservice.contract import operations
from keyservice.contract.frames import Kind, Tag
from keyservice.contract.names import ErrorName, Flag
from keyservice.contract.operations import Operation
from keyservice.contract.requests import (
    RequestError,
    arguments,
    build_begin,
    parse_begin,
)

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("operation", FUNCTIONS, ids=lambda each: each.name)
def test_what_is_built_is_parsed(operation: Operation) -> None:
    values: dict[str, str | int] = {
        field.name: "x" * field.limit if field.signature == "s" else field.limit
        for field in operation.in_frame
    }
    frame = build_begin(operation, values)
    assert frame[1] == operation.number
    assert parse_begin(operation, frame[4:]) == values
    empty = parse_begin(operation, bytearray())
    assert all(value in ("", 0) for value in empty.values())
    on_bus = {field.name: empty[field.name] for field in operation.fields}
    assert arguments(operation, on_bus) == arguments(operation, {}) == list(on_bus.values())


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"container": "1"}, "BeginUnbind takes no container"),
        ({"user": "a" * 257}, "the value of user has more than 256 bytes"),
        ({"user": "é" * 129}, "the value of user has more than 256 bytes"),
        ({"user": "a\0b"}, "the value of user holds a NUL"),
        ({"user": "\udcff"}, "the value of user is not UTF-8"),
        ({"user": 7}, "user is a text"),
        ({"flags": "x"}, "flags is a number"),
        ({"flags": True}, "flags is a number"),
        ({"flags": -1}, "flags is not within 0 and 255"),
        ({"flags": 256}, "flags is not within 0 and 255"),
        ({"timeout": 301}, "timeout is not within 0 and 300"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, str | int], why: str) -> None:
    with pytest.raises(RequestError) as caught:
        build_begin(operations.UNBIND, values)
    assert str(caught.value) == why


def test_what_only_a_frame_carries_is_refused_on_the_bus() -> None:
    """And an older keyservice passes over its tag: ``test_frames``."""
    with pytest.raises(RequestError, match="BeginAuthentication takes no auth_info"):
        arguments(operations.AUTHENTICATION, {"auth_info": "password\n"})
    for operation in FUNCTIONS.keys() - {operations.AUTHENTICATION}:
        with pytest.raises(RequestError, match="takes no auth_info"):
            build_begin(operation, {"auth_info": "password\n"})
        frame = build_begin(operations.AUTHENTICATION, {"auth_info": "password\n"})
        with pytest.raises(RequestError, match="takes no auth_info"):
            parse_begin(operation, frame[4:])


def test_all_flags_and_operations_are_within_the_tables() -> None:
    assert sum(Flag) == 255
    assert len(BY_NUMBER) == len(FUNCTIONS)
    assert not set(BY_NUMBER) & set(Kind)


def test_the_documents_name_every_tag_kind_flag_method_and_error() -> None:
    sockets = (DOCS / "socket-protocol.md").read_text()
    for tag in Tag:
        assert f"| 0x{tag:02X} | {tag.name} |" in sockets
        assert tag.name in sockets
    for kind in Kind:
        assert f"| 0x{kind:02x} | `{kind.name}` |" in sockets
    for flag in Flag:
        assert f"{flag.name} 0x{flag:04x}" in sockets
    rows = sockets.partition("| Operation |")[2].splitlines()
    for operation in FUNCTIONS:
        (row,) = (line for line in rows if line.startswith(f"| 0x{operation.number:02x} |"))
        common = ("service", "lang", "flags", "timeout")
        names = [field.tag.name for field in operation.in_frame if field.name not in common]
        assert row.split("|")[3].strip() == ", ".join(names)
    bus = (DOCS / "dbus-api.md").read_text()
    for operation in FUNCTIONS:
        takes = ", ".join(f"{field.signature} {field.name}" for field in operation.fields)
        assert f"| `{operation.method}` | {takes} |" in bus
    for error in ErrorName:
        assert f"`{error}`" in bus
