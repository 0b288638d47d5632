# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The messages that service and worker accept from each other, and those that they do not."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyservice.contract import frames
from keyservice.core.errors import BadRequest, PinWrong, UkeyFailed, UkeyRemoved
from keyservice.core.secret import Secret, wipe
from keyservice.crypto.key import PublicKey
from keyservice.transport.iso7816 import SW, CardError
from keyservice.transport.state import ReaderState
from keyservice.ukeys import fields as wire_fields
from keyservice.ukeys import kinds, wire
from keyservice.ukeys.base import (
    Container,
    Evidence,
    KeyRef,
    KeyUse,
    PinState,
    Remark,
    TryReserve,
    UkeyInfo,
)
from keyservice.ukeys.fields import WireError
from keyservice.ukeys.operations import (
    APPLICATIONS,
    ATTEST,
    CHANGE_PIN,
    CONTAINERS,
    KEY_USE,
    OPERATIONS,
    PIN_STATE,
    PROBE,
    PUBLIC_KEY,
    SIGN,
    Arguments,
    Operation,
)
from keyservice.ukeys.pcsc import reports
from keyservice.ukeys.results import Tag as Field
from keyservice.ukeys.wire import Answer, Kind, Tag

T = TypeVar("T")
REF = KeyRef("app", "登录")
ODD: dict[str, str | int] = {
    "byte_order": "big",
    "mac_length": "wire",
    "pin_block": "sized",
    "size_order": "other",
    "expected_length": "any",
    "pin_hash": "sm3",
    "name_length": 48,
}


def test_a_request_arrives_as_it_was_meant() -> None:
    with Secret(b"123456") as pin, Secret(b"654321") as new:
        sent = Arguments(REF, pin, new, TryReserve.LAST, bytes(32), admin=True)
        request = wire.parse_request(wire.build_request(CHANGE_PIN, "SN1", ODD, sent))
        arguments = request.arguments
        assert (request.operation, request.serial, arguments.ref) == (CHANGE_PIN, "SN1", REF)
        values = {name: each.usual for name, each in kinds.settings().items()} | ODD
        assert (request.values, arguments.reserve, arguments.admin) == (
            values,
            TryReserve.LAST,
            True,
        )
        assert arguments.data == bytes(32)
        assert arguments.pin.matches(pin)
        assert arguments.new_pin.matches(new)
    arguments.wipe()
    assert arguments.pin.matches(Secret(bytes(6)))
    assert "123456" not in repr(request)


def test_what_is_not_said_is_careful() -> None:
    request = wire.parse_request(wire.build_request(PROBE))
    assert request.arguments.reserve is TryReserve.RESERVE
    assert len(request.arguments.pin) == 0
    assert request.values == {name: each.usual for name, each in kinds.settings().items()}


def test_every_operation_has_a_number_of_its_own() -> None:
    assert all(0 < number < Kind.DONE for number in OPERATIONS)
    assert all(operation.number == number for number, operation in OPERATIONS.items())


@pytest.mark.parametrize("name", ["", "x" * 49, "a\nb", "\u202eabc", "\0"])
def test_names_that_no_ukey_has_are_not_sent(name: str) -> None:
    for ref in (KeyRef(name, "c"), KeyRef("a", name)):
        with pytest.raises(BadRequest):
            wire.build_request(SIGN, "SN1", arguments=Arguments(ref))


def carried(operation: Operation[T], result: T) -> T:
    return _answer(wire.build_done(operation, result, None)).take(operation)


def test_answers_arrive_as_they_were_meant() -> None:
    info = UkeyInfo("gmt0017", "R", "SN1", "label", "制造商", virtual=True)
    assert carried(PROBE, info) == replace(info, reader="", virtual=False)
    containers = [Container(REF, True), Container(KeyRef("a", "b"), False)]
    assert carried(CONTAINERS, containers) == containers
    assert carried(CONTAINERS, []) == []
    for names in ([], ["app"], ["应用", "two"]):
        assert carried(APPLICATIONS, names) == names
    for algorithm, length in (("sm2", 64), ("rsa", 550)):
        key = PublicKey(algorithm, bytes(range(64)).ljust(length))
        assert carried(PUBLIC_KEY, key) == key
    state = PinState(10, 3, default=True)
    assert carried(PIN_STATE, state) == state
    assert carried(PIN_STATE, PinState(3, 3, False, told=False)).told is False
    use = KeyUse(False, True, Remark.IMPORTED | Remark.DEFAULT_ADMIN_PIN)
    assert carried(KEY_USE, use) == use
    evidence = Evidence(bytes(2000), bytes(2000))  # both fit into one answer
    assert carried(ATTEST, evidence) == evidence
    assert carried(ATTEST, Evidence()) == Evidence()
    assert carried(CHANGE_PIN, None) is None
    done = _answer(wire.build_done(SIGN, bytes(64), state))
    assert (done.take(SIGN), done.seen_pin, done.error) == (bytes(64), state, None)


def test_errors_arrive_as_what_they_are() -> None:
    state = PinState(10, 3, default=False)
    failed = _answer(wire.build_failed(PinWrong(left=3, maximum=10, serial="SN1"), state))
    assert type(failed.error) is PinWrong
    assert failed.error.facts == {"reader": "R", "left": 3, "maximum": 10}
    assert failed.seen_pin == state
    card = _answer(wire.build_failed(CardError(0x74, SW.NOT_VERIFIED), None)).error
    assert type(card) is UkeyFailed
    assert "74 with 6982" in str(card)
    removed = _answer(wire.build_failed(UkeyRemoved(serial="SN1"), None)).error
    assert type(removed) is UkeyRemoved


def _answer(message: bytearray) -> Answer:
    return wire.parse_answer(message, "R")


@pytest.mark.parametrize(
    ("fields", "operation"),
    [
        ({Field.SIGNATURE: bytes(1025)}, SIGN),
        ({Field.SIGNATURE: b""}, SIGN),
        ({}, SIGN),
        ({Field.ALGORITHM: b"sm2", Field.KEY: bytes(1025)}, PUBLIC_KEY),
        ({Field.ALGORITHM: b"sm2"}, PUBLIC_KEY),
        ({Field.ALGORITHM: b"x" * 17, Field.KEY: bytes(64)}, PUBLIC_KEY),
        ({Field.ALGORITHM: b"\x1b[2J", Field.KEY: bytes(64)}, PUBLIC_KEY),
        ({}, PUBLIC_KEY),
        ({}, PIN_STATE),
        ({Field.SERIAL: b"a b"}, PROBE),
        ({Field.SERIAL: b"x" * 33}, PROBE),
        ({Field.SERIAL: "序".encode()}, PROBE),
        ({Field.LABEL: b"\x1b[2J"}, PROBE),
        ({Field.LABEL: b"\xff"}, PROBE),
        ({Field.MANUFACTURER: b"x" * 65}, PROBE),
        ({Field.NAMES: b"a\0"}, APPLICATIONS),
        ({Field.NAMES: b"a\n"}, APPLICATIONS),
        ({Field.NAMES: b"\xff"}, APPLICATIONS),
        ({Field.NAMES: b"x" * 49}, APPLICATIONS),
        ({Field.KEY_USE: b"\1\0"}, KEY_USE),
        ({Field.KEY_USE: b"\2\0\0"}, KEY_USE),
        ({Field.KEY_USE: b"\1\2\0"}, KEY_USE),
        ({Field.KEY_USE: b"\1\0\x10"}, KEY_USE),
        ({Field.OWN: bytes(2001)}, ATTEST),
        ({Field.OWN: b"\x30", Field.STATEMENT: bytes(2001)}, ATTEST),
        ({Field.CONTAINERS: b"\1\1"}, CONTAINERS),
        ({Field.CONTAINERS: b"\1\1\2ab"}, CONTAINERS),
        ({Field.CONTAINERS: b"\2\1\1ab"}, CONTAINERS),
        ({Field.CONTAINERS: b"\1\0\1b"}, CONTAINERS),
        ({Field.CONTAINERS: b"\1\1\1a\n"}, CONTAINERS),
        ({Field.CONTAINERS: b"\1\1\1a\xff"}, CONTAINERS),
    ],
)
def test_a_worker_that_was_taken_over_is_not_believed(
    fields: dict[int, bytes], operation: Operation[object]
) -> None:
    answer = _answer(frames.build(Kind.DONE, fields))
    with pytest.raises(WireError):
        answer.take(operation)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1\x40\0",
        b"\1\x40\0\1",
        b"\1\x40\0\0\0",
        b"\2\x40\0\0",
        b"\1\x42\0\0",
        bytes(frames.build(Kind.DONE, {Tag.SEEN_PIN: b"\1\2\0"})),
        bytes(frames.build(Kind.DONE, {Tag.SEEN_PIN: b"\2\1\4"})),
        bytes(frames.build(Kind.DONE, {Tag.SEEN_PIN: b"\2\1"})),
        bytes(frames.build(Kind.FAILED, {})),
        bytes(frames.build(Kind.FAILED, {Tag.ERROR: b"\xff"})),
        bytes(frames.build(Kind.FAILED, {Tag.ERROR: b"\0", Tag.LEFT: b"\0\0"})),
    ],
)
def test_a_malformed_answer_is_refused(message: bytes) -> None:
    with pytest.raises(WireError):
        _answer(bytearray(message))


def test_an_errors_text_is_short_and_plain() -> None:
    text = ("\x1b[31mred\n" * 100).encode()
    failed = _answer(frames.build(Kind.FAILED, {Tag.ERROR: b"\x0a", Tag.TEXT: text}))
    assert failed.error is not None
    assert failed.error.message.isprintable()
    assert len(failed.error.message) <= 200


def test_readers_arrive_as_they_were_seen() -> None:
    seen = [ReaderState("Reader \udcff 00", True, 65535), ReaderState("B", False, 0)]
    assert reports.parse_readers(reports.build_readers(seen)) == seen
    assert reports.parse_readers(reports.build_readers([])) == []
    assert reports.parse_readers(reports.build_no_pcscd()) is None
    for fields in ({0: b"\1\0\0"}, {0: b"\2\0\0R"}, dict.fromkeys(range(17), b"\1\0\0R")):
        with pytest.raises(WireError):
            reports.parse_readers(frames.build(reports.Kind.READERS, fields))
    with pytest.raises(WireError):
        reports.parse_readers(frames.build(Kind.DONE, {}))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_an_error(body: bytes) -> None:
    for kind in (Kind.DONE, Kind.FAILED, reports.Kind.READERS, reports.Kind.NO_PCSCD):
        message = frames.HEADER.pack(frames.VERSION, kind, len(body)) + body
        with contextlib.suppress(WireError):
            reports.parse_readers(bytearray(message))
        with contextlib.suppress(WireError):
            answer = _answer(bytearray(message))
            for operation in OPERATIONS.values():
                with contextlib.suppress(WireError):
                    answer.take(operation)


def test_wiping_a_message_wipes_the_pin_in_it() -> None:
    """Its fields are views: there is no copy that nobody wipes."""
    with Secret(b"528491") as secret:
        message = wire.build_request(SIGN, "SN1", arguments=Arguments(REF, secret))
    _, fields = wire_fields.parse(message)
    assert bytes(fields[Tag.PIN]) == b"528491"
    wipe(message)
    assert bytes(fields[Tag.PIN]) == bytes(6)
