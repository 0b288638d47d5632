# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What passes the wall between service and worker, and what does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyservice.contract import frames
from keyservice.core.errors import BadRequest, PinWrong, UkeyFailed, UkeyRemoved
from keyservice.core.secret import Secret, wipe
from keyservice.transport.apdu import SW, CardError
from keyservice.transport.state import ReaderState
from keyservice.ukeys import fields as wire_fields
from keyservice.ukeys import reports, wire
from keyservice.ukeys.base import Container, Keep, KeyRef, PinState, PublicKey, UkeyInfo
from keyservice.ukeys.fields import WireError
from keyservice.ukeys.quirks import ByteOrder, ExpectedLength, MacLength, PinHash, Quirks
from keyservice.ukeys.wire import Answer, Kind, Op, Tag

REF = KeyRef("app", "登录")
ODD = Quirks(ByteOrder.BIG, MacLength.SWAPPED, ExpectedLength.ANY, PinHash.SM3, 48)


def test_a_request_arrives_as_it_was_meant() -> None:
    with Secret(b"123456") as pin, Secret(b"654321") as new:
        message = wire.build_request(
            *(Op.CHANGE_PIN, "SN1", REF, ODD),
            keep=Keep.LAST,
            admin=True,
            digest=bytes(32),
            pin=pin,
            new_pin=new,
        )
        request = wire.parse_request(message)
        assert (request.op, request.serial, request.ref) == (Op.CHANGE_PIN, "SN1", REF)
        assert (request.quirks, request.keep, request.admin) == (ODD, Keep.LAST, True)
        assert request.digest == bytes(32)
        assert request.pin.matches(pin)
        assert request.new_pin.matches(new)
    request.wipe()
    assert request.pin.matches(Secret(bytes(6)))
    assert "123456" not in repr(request)


def test_what_is_not_said_is_careful() -> None:
    request = wire.parse_request(wire.build_request(Op.PROBE))
    assert request.keep is Keep.RESERVE
    assert (len(request.pin), request.quirks) == (0, Quirks())


@pytest.mark.parametrize("name", ["", "x" * 49, "a\nb", "\u202eabc", "\0"])
def test_names_that_no_ukey_has_are_not_sent(name: str) -> None:
    for ref in (KeyRef(name, "c"), KeyRef("a", name)):
        with pytest.raises(BadRequest):
            wire.build_request(Op.SIGN, "SN1", ref)


def test_answers_arrive_as_they_were_meant() -> None:
    info = UkeyInfo("gmt0017", "R", "SN1", "label", "制造商", virtual=True)
    assert _answer(wire.build_done(info=info)).info("R", True) == info
    containers = [Container(REF, True), Container(KeyRef("a", "b"), False)]
    assert _answer(wire.build_done(containers=containers)).containers() == containers
    assert _answer(wire.build_done(containers=[])).containers() == []
    for names in ([], ["app"], ["应用", "two"]):
        assert _answer(wire.build_done(applications=names)).applications() == names
    key = PublicKey("sm2", bytes(range(64)))
    assert _answer(wire.build_done(key=key)).key() == key
    state = PinState(10, 3, default=True)
    done = _answer(wire.build_done(signature=bytes(64), pin_state=state))
    assert (done.signature(), done.state(), done.error) == (bytes(64), state, None)


def test_errors_arrive_as_what_they_are() -> None:
    state = PinState(10, 3, default=False)
    failed = _answer(wire.build_failed(PinWrong(left=3, maximum=10, serial="SN1"), state))
    assert type(failed.error) is PinWrong
    assert failed.error.facts == {"reader": "R", "left": 3, "maximum": 10}
    assert failed.pin_state == state
    card = _answer(wire.build_failed(CardError(0x74, SW.NOT_LOGGED_IN), None)).error
    assert type(card) is UkeyFailed
    assert "74 with 6982" in str(card)
    removed = _answer(wire.build_failed(UkeyRemoved(serial="SN1"), None)).error
    assert type(removed) is UkeyRemoved


def _answer(message: bytearray) -> Answer:
    return wire.parse_answer(message, "R")


@pytest.mark.parametrize(
    ("fields", "take"),
    [
        ({Tag.SIGNATURE: bytes(63)}, Answer.signature),
        ({Tag.SIGNATURE: bytes(65)}, Answer.signature),
        ({}, Answer.signature),
        ({Tag.POINT: bytes(65)}, Answer.key),
        ({}, Answer.key),
        ({}, Answer.state),
        ({Tag.SERIAL: b"a b"}, lambda a: a.info("R", False)),
        ({Tag.SERIAL: b"x" * 33}, lambda a: a.info("R", False)),
        ({Tag.SERIAL: "序".encode()}, lambda a: a.info("R", False)),
        ({Tag.LABEL: b"\x1b[2J"}, lambda a: a.info("R", False)),
        ({Tag.LABEL: b"\xff"}, lambda a: a.info("R", False)),
        ({Tag.MANUFACTURER: b"x" * 65}, lambda a: a.info("R", False)),
        ({Tag.APPLICATIONS: b"a\0"}, Answer.applications),
        ({Tag.APPLICATIONS: b"a\n"}, Answer.applications),
        ({Tag.APPLICATIONS: b"\xff"}, Answer.applications),
        ({Tag.APPLICATIONS: b"x" * 49}, Answer.applications),
        ({Tag.CONTAINERS: b"\1\1"}, Answer.containers),
        ({Tag.CONTAINERS: b"\1\1\2ab"}, Answer.containers),
        ({Tag.CONTAINERS: b"\2\1\1ab"}, Answer.containers),
        ({Tag.CONTAINERS: b"\1\0\1b"}, Answer.containers),
        ({Tag.CONTAINERS: b"\1\1\1a\n"}, Answer.containers),
        ({Tag.CONTAINERS: b"\1\1\1a\xff"}, Answer.containers),
    ],
)
def test_a_worker_that_was_taken_over_is_not_believed(
    fields: dict[int, bytes], take: Callable[[Answer], object]
) -> None:
    answer = _answer(frames.build(Kind.DONE, fields))
    with pytest.raises(WireError):
        take(answer)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1\x40\0",
        b"\1\x40\0\1",
        b"\1\x40\0\0\0",
        b"\2\x40\0\0",
        b"\1\x42\0\0",
        bytes(frames.build(Kind.DONE, {Tag.PIN_STATE: b"\1\2\0"})),
        bytes(frames.build(Kind.DONE, {Tag.PIN_STATE: b"\2\1\2"})),
        bytes(frames.build(Kind.DONE, {Tag.PIN_STATE: b"\2\1"})),
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
            lists = (Answer.applications, Answer.containers)
            for take in (*lists, Answer.key, Answer.signature, Answer.state):
                with contextlib.suppress(WireError):
                    take(answer)
            with contextlib.suppress(WireError):
                answer.info("R", False)


def test_wiping_a_message_wipes_the_pin_in_it() -> None:
    """Its fields are views: there is no copy that nobody wipes."""
    with Secret(b"528491") as secret:
        message = wire.build_request(Op.SIGN, "SN1", REF, pin=secret)
    _, fields = wire_fields.parse(message)
    assert bytes(fields[Tag.PIN]) == b"528491"
    wipe(message)
    assert bytes(fields[Tag.PIN]) == bytes(6)
