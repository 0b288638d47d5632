# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands and answers, byte by byte."""

from __future__ import annotations

import pytest

from keyservice.transport.iso7816 import (
    RESPONSE_MAX,
    SW,
    CardError,
    Commands,
    Form,
    ResponseError,
    encode,
    encode_short,
)


class Script:
    """A card that expects these commands, and answers each as told."""

    def __init__(self, *exchanges: tuple[str, str]) -> None:
        self.exchanges = [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in exchanges]

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        expected, answer = self.exchanges.pop(0)
        assert bytes(command).hex() == expected.hex()
        return answer[:-2], int.from_bytes(answer[-2:], "big")


@pytest.mark.parametrize(
    ("data", "le", "command"),
    [
        (b"", None, "80500102"),
        (b"", 8, "80500102 000008"),
        (b"", 0, "80500102 000000"),
        (b"", 65536, "80500102 000000"),
        (b"\xaa", None, "80500102 000001 aa"),
        (b"\xaa" * 256, 288, "80500102 000100" + "aa" * 256 + "0120"),
    ],
)
def test_every_command_is_in_extended_form(data: bytes, le: int | None, command: str) -> None:
    assert encode(0x80, 0x50, 1, 2, data, le) == bytes.fromhex(command)


def test_what_does_not_fit_is_not_encoded() -> None:
    for data, le in ((bytes(65536), None), (b"", 65537), (b"", -1)):
        with pytest.raises(ValueError, match="does not fit"):
            encode(0x80, 0x50, 0, 0, data, le)


def test_success_is_the_body_and_anything_else_an_error_with_the_status_word() -> None:
    commands = Commands(Script(("80500000000008", "11223344556677889000"), ("80140001", "6a88")))
    assert commands.send(0x80, 0x50, 0, 0, le=8).hex() == "1122334455667788"
    with pytest.raises(CardError, match="14 with 6A88, NO_DATA") as caught:
        commands.send(0x80, 0x14, 0, 1)
    assert caught.value.sw == SW.NO_DATA
    assert caught.value.facts == {"ins": 0x14, "sw": 0x6A88}


def test_an_unknown_status_word_prints_as_it_is() -> None:
    commands = Commands(Script(("80140001", "1234")))
    with pytest.raises(CardError, match="14 with 1234, SW_1234") as caught:
        commands.send(0x80, 0x14, 0, 1)
    assert caught.value.facts == {"ins": 0x14, "sw": 0x1234}


def test_short_commands() -> None:
    script = Script(("00a40400 02 aabb 00", "9000"), ("00200080", "63c3"), ("00cb3fff00", "019000"))
    commands = Commands(script, Form.SHORT)
    assert commands.send(0x00, 0xA4, 4, 0, b"\xaa\xbb", le=0) == b""
    assert commands.exchange(0x00, 0x20, 0, 0x80) == (b"", 0x63C3)
    assert commands.send(0x00, 0xCB, 0x3F, 0xFF, le=256) == b"\1"
    for data, le in ((bytes(256), None), (b"", 257), (b"", -1)):
        with pytest.raises(ValueError, match="does not fit"):
            encode_short(0, 0x50, 0, 0, data, le)


def test_what_is_too_long_for_a_short_command_goes_in_a_chain() -> None:
    data = bytes(range(256)) * 2
    script = Script(
        ("10870711ff" + data[:255].hex(), "9000"),
        ("10870711ff" + data[255:510].hex(), "9000"),
        ("0087071102" + data[510:].hex() + "00", "aabb9000"),
    )
    assert Commands(script, Form.SHORT).send(0, 0x87, 7, 0x11, data, le=0) == b"\xaa\xbb"
    assert not script.exchanges


@pytest.mark.parametrize("answer", ["6982", "6100"])
def test_a_chain_ends_where_the_card_refuses_a_part(answer: str) -> None:
    script = Script(("10870711ff" + bytes(255).hex(), answer))
    body, sw = Commands(script, Form.SHORT).exchange(0, 0x87, 7, 0x11, bytes(300), le=0)
    assert body == b""
    assert sw != SW.OK
    assert not script.exchanges


@pytest.mark.parametrize("answer", ["019000", "016982"])
def test_a_part_of_a_chain_brings_no_data(answer: str) -> None:
    script = Script(("10870711ff" + bytes(255).hex(), answer))
    with pytest.raises(ResponseError, match="should not"):
        Commands(script, Form.SHORT).exchange(0, 0x87, 7, 0x11, bytes(300), le=0)
    assert not script.exchanges


def test_the_last_part_of_a_chain_is_not_sent_twice() -> None:
    script = Script(("10870711ff" + bytes(255).hex(), "9000"), ("0087071101" + "00" + "00", "6c10"))
    assert Commands(script, Form.SHORT).exchange(0, 0x87, 7, 0x11, bytes(256), le=0)[1] == 0x6C10
    assert not script.exchanges


def test_6cxx_sends_once_more_with_that_length() -> None:
    script = Script(("80040000000120", "6c10"), ("80040000000010", "aa9000"))
    assert Commands(script).send(0x80, 0x04, 0, 0, le=0x120) == b"\xaa"
    script = Script(("80040000000120", "6c00"), ("80040000000100", "6c00"))
    with pytest.raises(CardError, match="6C00"):
        Commands(script).send(0x80, 0x04, 0, 0, le=0x120)
    assert not script.exchanges


def test_6cxx_never_repeats_a_command_that_expects_no_answer() -> None:
    script = Script(("80180001000002aabb", "6c12"))
    with pytest.raises(CardError, match="6C12"):
        Commands(script).send(0x80, 0x18, 0, 1, b"\xaa\xbb")
    assert not script.exchanges


@pytest.mark.parametrize("answer", ["009000", "6110", "0063c5"])
def test_a_command_that_expects_no_answer_gets_none(answer: str) -> None:
    with pytest.raises(ResponseError, match="should not"):
        Commands(Script(("801c0000", answer))).exchange(0x80, 0x1C, 0, 0)


def test_61xx_fetches_the_rest() -> None:
    script = Script(
        ("80220000000000", "aabb6102"),
        ("00c0000002", "ccdd6100"),
        ("00c0000000", "ee9000"),
    )
    assert Commands(script).send(0x80, 0x22, 0, 0, le=0).hex() == "aabbccddee"


def test_the_status_word_behind_get_response_counts() -> None:
    script = Script(("80220000000000", "aa6101"), ("00c0000001", "bb6282"))
    assert Commands(script).exchange(0x80, 0x22, 0, 0, le=0) == (b"\xaa\xbb", 0x6282)


@pytest.mark.parametrize("rest", ["6a88", "9000", "6110"])
def test_the_rest_of_an_answer_that_does_not_come(rest: str) -> None:
    script = Script(("80220000000000", "aa6101"), ("00c0000001", rest))
    with pytest.raises(ResponseError, match="did not come"):
        Commands(script).send(0x80, 0x22, 0, 0, le=0)
    assert not script.exchanges


@pytest.mark.parametrize("sw", ["6400", "6700", "6982", "6a88", "6a95", "6c10", "6f00"])
@pytest.mark.parametrize("before", [[], [("80220000000000", "aa6101")]])
def test_an_error_that_brings_data_is_no_answer(before: list[tuple[str, str]], sw: str) -> None:
    command = "00c0000001" if before else "80220000000000"
    script = Script(*before, (command, "bb" + sw))
    with pytest.raises(ResponseError, match="should not"):
        Commands(script).exchange(0x80, 0x22, 0, 0, le=0)
    assert not script.exchanges


class Endless:
    """A card that always has more."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked = 0

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        self.asked += 1
        return self.body, 0x6100


@pytest.mark.parametrize("body", [b"\0", bytes(256)])
def test_a_card_that_never_ends_is_stopped(body: bytes) -> None:
    card = Endless(body)
    with pytest.raises(ResponseError, match="more than 4096 bytes"):
        Commands(card).send(0x80, 0x22, 0, 0, le=0)
    assert card.asked <= RESPONSE_MAX + 1


def test_one_answer_is_limited_too() -> None:
    whole = Script(("80220000000000", "00" * RESPONSE_MAX + "9000"))
    assert len(Commands(whole).send(0x80, 0x22, 0, 0, le=0)) == RESPONSE_MAX
    with pytest.raises(ResponseError, match="more than 4096"):
        Commands(Script(("80220000000000", "00" * 4097 + "9000"))).send(0x80, 0x22, 0, 0, le=0)


def test_a_commands_body_is_wiped_and_in_no_error() -> None:
    kept: list[bytearray] = []

    class Keeper:
        def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
            assert isinstance(command, bytearray)
            kept.append(command)
            return b"", 0x6F00

    with pytest.raises(CardError) as caught:
        Commands(Keeper()).send(0x80, 0x18, 0, 1, b"SECRET")
    assert kept[0].count(0) == len(kept[0])
    assert "SECRET" not in f"{caught.value} {caught.value!r} {caught.value.facts}"
