# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The codec of the frames: exact bytes, and nothing accepted that is not exact."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyservice.contract import frames, operations
from keyservice.contract.frames import FrameError, Kind, Tag
from keyservice.contract.names import Code, ErrorName, WaitFor
from keyservice.contract.requests import build_begin, parse_begin
from keyservice.contract.steps import Error, Info, Prompt, Step, Verdict, Wait

ID = bytes(range(16))
HEAD = bytes.fromhex("10 0010") + ID

STEPS: list[tuple[Step, bytes]] = [
    (Info("Hé"), bytes.fromhex("21 0003 48c3a9 20 0001 01")),
    (Error("no"), bytes.fromhex("21 0002 6e6f 20 0001 02")),
    (Prompt("PIN: "), bytes.fromhex("21 0005 50494e3a20 22 0001 00 20 0001 03")),
    (Prompt("?", True), bytes.fromhex("21 0001 3f 22 0001 01 20 0001 03")),
    (Wait("", WaitFor.UKEY), bytes.fromhex("21 0000 23 0004 756b6579 20 0001 04")),
    (Verdict(Code.SUCCESS), bytes.fromhex("21 0000 24 0007") + b"SUCCESS" + b"\x20\0\x01\x05"),
    (
        Verdict(Code.MAXTRIES, "x", ErrorName.PIN_LOCKED, {"left": 0}),
        bytes.fromhex("21 0001 78 24 0008")
        + b"MAXTRIES"
        + bytes.fromhex("25 0009")
        + b"PinLocked"
        + bytes.fromhex("26 000b")
        + b'{"left": 0}'
        + bytes.fromhex("20 0001 05"),
    ),
]


@pytest.mark.parametrize(("step", "body"), STEPS)
def test_steps_have_these_bytes(step: Step, body: bytes) -> None:
    frame = frames.build_step(ID, step)
    assert frame == bytes([1, 0x81, 0, len(HEAD + body)]) + HEAD + body
    assert frames.parse_header(frame[:4]) == (Kind.STEP, len(frame) - 4)
    assert frames.parse_step(frame[4:]) == (ID, step)


def test_the_other_frames_have_these_bytes() -> None:
    assert frames.build_answer(ID, b"\x00\xff") == bytes.fromhex("01 10 0018") + HEAD + (
        bytes.fromhex("11 0002 00ff")
    )
    assert frames.build_refused(ErrorName.BUSY, "no") == bytes.fromhex(
        "01 82 000c 25 0004 42757379 21 0002 6e6f"
    )
    refused = frames.build_refused(ErrorName.BUSY, "no", {"why": "calls"})
    assert refused == bytes.fromhex("01 82 001f 25 0004 42757379 21 0002 6e6f 26 0010") + (
        b'{"why": "calls"}'
    )
    assert frames.parse_refused(refused[4:]) == (ErrorName.BUSY, "no", {"why": "calls"})
    assert build_begin(
        operations.VERIFY_PIN, {"user": "al", "serial": "", "flags": 0, "timeout": 258}
    ) == bytes.fromhex("01 06 000a 01 0002 616c 07 0002 0102")


@pytest.mark.parametrize(
    "body",
    [
        b"\x20\0\x01\x06",
        b"\x20\0\x01\x00",
        b"",
        b"\x20\0\x02\x00\x01",
        b"\x20\0\x01\x04\x23\0\x03tea",
        b"\x20\0\x01\x05\x24\0\x02OK",
        b"\x20\0\x01\x05\x24\0\x07SUCCESS\x25\0\x01x",
        b"\x20\0\x01\x05\x24\0\x07SUCCESS\x26\0\x02[]",
        b"\x20\0\x01\x05\x24\0\x07SUCCESS\x26\0\x02{x",
        b"\x20\0\x01\x01\x21\0\x01\xff",
        b"\x20\0\x01\x03\x22\0\x02\x00\x01",
    ],
)
def test_a_step_that_is_not_known_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        frames.parse_step(bytearray(HEAD + body))


def test_unknown_tags_pass() -> None:
    body = bytearray(HEAD + b"\x7e\0\x03new\x20\0\x01\x01")
    assert frames.parse_step(body) == (ID, Info(""))
    assert parse_begin(operations.UNBIND, bytearray(b"\x7e\0\0\x01\0\x01a"))["user"] == "a"


def test_a_refusal_by_a_newer_service_is_failed() -> None:
    body = bytearray(b"\x25\0\x06Newest\x21\0\x01x")
    assert frames.parse_refused(body) == (ErrorName.FAILED, "x", {})


def test_an_answer_is_seen_in_place_and_bounded() -> None:
    body = frames.build_answer(ID, b"123456")[4:]
    session, answer = frames.parse_answer(body)
    assert (session, bytes(answer)) == (ID, b"123456")
    body[-1] = 0x30
    assert bytes(answer) == b"123450"
    with pytest.raises(FrameError, match="256"):
        frames.build_answer(ID, bytes(257))
    with pytest.raises(FrameError, match="256"):
        frames.parse_answer(
            frames.build(Kind.ANSWER, {Tag.SESSION: ID, Tag.ANSWER: bytes(257)})[4:]
        )


def test_a_frame_is_at_most_4096_bytes_long() -> None:
    assert len(frames.build(Kind.STEP, {Tag.TEXT: bytes(4093)})) == 4 + 4096
    with pytest.raises(FrameError):
        frames.build(Kind.STEP, {Tag.TEXT: bytes(4094)})


@settings(database=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_parsers_fail_otherwise(body: bytes) -> None:
    for parse in (frames.parse_step, frames.parse_answer, frames.parse_refused):
        try:
            parse(bytearray(body))
        except FrameError as error:
            assert body[:8].hex() not in str(error) or len(body) < 4


@settings(database=None)
@given(st.dictionaries(st.integers(0, 255), st.binary(max_size=60), max_size=12))
def test_fields_come_back_as_they_were(fields: dict[int, bytes]) -> None:
    body = frames.build(Kind.STEP, fields)[4:]
    assert {tag: bytes(value) for tag, value in frames.parse_fields(body).items()} == fields
