# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Framing, lengths, status words, and the commands that hold no rule of security."""

from __future__ import annotations

import pytest

from tests.softkey import sm2
from tests.softkey.card import Card
from tests.softkey.state import StateFile

from .terminal import INFO, PIN, Terminal, split

DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("", 0x6700),
        ("80", 0x6700),
        ("8004", 0x6700),
        ("8004000000", 0x6700),  # short Le
        ("801c0000020100", 0x6700),  # short Lc
        ("801c000001000201", 0x6700),
        ("801c000000000301", 0x6700),  # more announced than there is
        ("801c00000000020100000000", 0x6700),  # a byte too much
        ("801c0000000000", 0x6700),  # no data
        ("801c000000000301000000", 0x6700),  # data too long
        ("8099000000000a", 0x6D00),
        ("80000000", 0x6D00),
        ("00040000000120", 0x6E00),
        ("84040000000120", 0x6E00),
        ("801600010000020100", 0x6E00),  # ChangePIN without a MAC
        ("00a4040000000101", 0x6E00),
        ("80040001000120", 0x6A86),
        ("80040100000120", 0x6A86),
        ("801400020000020100", 0x6A86),
        ("8014000100000202000003", 0x698A),
        ("801c00000000020200", 0x698A),
        ("80280000000002ffff", 0x698A),
        ("80c0000000", 0x6985),  # GET RESPONSE, nothing there
        ("00c00000000010", 0x6700),
    ],
)
def test_refused_commands(terminal: Terminal, apdu: str, sw: int) -> None:
    assert split(terminal.transmit(bytes.fromhex(apdu))) == (b"", sw)


def test_no_input_makes_the_card_raise(card: Card, terminal: Terminal) -> None:
    for ins in range(256):
        for cla in (0x00, 0x80, 0x84, 0xFF):
            for tail in (b"", b"\0", b"\0\0\0", b"\0\0\2\1\0", b"\0\0\4\1\0\1\0\0\0", b"\0" * 300):
                answer = card.transmit(bytes((cla, ins, 0, 0)) + tail)
                assert len(answer) >= 2


def test_device_information(terminal: Terminal) -> None:
    info, sw = split(terminal.transmit(INFO))
    assert (len(info), sw) == (288, 0x9000)
    assert info[132:164] == b"softkey".ljust(32, b"\0")
    assert info[164:196] == b"SK0001".ljust(32, b"\0")
    assert info[212:216] == bytes.fromhex("01040000")  # SM4-ECB
    assert info[224:226] == bytes.fromhex("0010")  # 4096 bytes of data


@pytest.mark.parametrize(
    ("makes", "full", "zero"), [("any", 0x9000, 0x9000), ("0120", 0x9000, 0x6700)]
)
def test_device_information_and_le(
    card: Card, terminal: Terminal, makes: str, full: int, zero: int
) -> None:
    card.adopt(info_le=makes)
    assert (terminal.sw("80040000", le=288), terminal.sw("80040000", le=0)) == (full, zero)
    card.adopt(info_le="0000")
    assert (terminal.sw("80040000", le=288), terminal.sw("80040000", le=0)) == (0x6700, 0x9000)


def test_set_label_lasts(file: StateFile, terminal: Terminal) -> None:
    assert terminal.sw("80020000", "印章".encode()) == 0x9000
    assert terminal.sw("80020000", b"\xff\xfe") == 0x6A80
    assert terminal.sw("80020000", b"x" * 33) == 0x6700
    info, _ = split(Card(file).transmit(INFO))
    assert info[132:164] == "印章".encode().ljust(32, b"\0")


def test_random(terminal: Terminal) -> None:
    seen = {terminal.send("80500000", le=256)[0] for _ in range(10)}
    assert len(seen) == 10
    assert {len(number) for number in seen} == {256}
    assert terminal.sw("80500000") == 0x6700
    assert terminal.sw("80500000", le=0) == 0x6700


def test_names_come_padded_or_not(terminal: Terminal) -> None:
    terminal.open(b"ukey".ljust(32, b"\0"), b"login".ljust(64, b"\0"))
    assert terminal.sw("80260000", b"nobody", 10) == 0x6A8B
    assert terminal.sw("80420000", terminal.app + b"nothing", 2) == 0x6A91
    assert terminal.sw("804a0000", terminal.app + b"nothing", 11) == 0x6A91


def test_opening_twice_can_be_refused(card: Card, terminal: Terminal) -> None:
    card.adopt(reopen="refused")
    assert terminal.sw("80260000", b"ukey", 10) == 0x6A8A
    assert terminal.sw("80280000", terminal.app) == 0x9000
    terminal.open()


def test_containers(terminal: Terminal) -> None:
    assert terminal.sw("80400000", terminal.app + b"second", 2) == 0x6982
    terminal.verify()
    made, sw = terminal.send("80400000", terminal.app + b"second", 2)
    assert (len(made), sw) == (2, 0x9000)
    assert terminal.sw("80400000", terminal.app + b"second", 2) == 0x6E02
    assert terminal.send("80460000", terminal.app)[0] == b"login\0empty\0second\0\0"
    info, _ = terminal.send("804a0000", terminal.app + b"second", 11)
    assert info == bytes(11)
    # a new container is open, and holds no pair
    assert terminal.sw("80880100", terminal.app + made, 68) == 0x6A95
    assert terminal.sw("80740200", terminal.app + made + DIGEST, 68) == 0x6A95
    assert terminal.sw("80440000", terminal.app + made) == 0x9000
    assert terminal.sw("80440000", terminal.app + made) == 0x6A94
    assert terminal.sw("80880100", terminal.app + made, 68) == 0x6A94


def test_containers_have_an_end(terminal: Terminal) -> None:
    terminal.verify()
    for number in range(6):
        assert terminal.sw("80400000", terminal.app + b"c%d" % number, 2) == 0x9000
    assert terminal.sw("80400000", terminal.app + b"one more", 2) == 0x6A84


def test_container_ids_are_checked(terminal: Terminal) -> None:
    terminal.verify()
    assert terminal.sw("80740200", terminal.app + b"\x09\0" + DIGEST, 68) == 0x6A94
    assert terminal.sw("80740200", b"\x09\0" + terminal.container + DIGEST, 68) == 0x698A
    # the container `empty` exists, but nobody opened it
    assert terminal.sw("80880100", terminal.app + b"\x02\0", 68) == 0x6A94


def test_a_key_pair_is_made_on_the_ukey(file: StateFile, terminal: Terminal) -> None:
    terminal.open(container=b"empty")
    generate = terminal.app + terminal.container + (256).to_bytes(4, "little")
    assert terminal.sw("80700000", generate, 64) == 0x6982
    terminal.verify()
    assert terminal.sw("80700000", generate[:-4] + (256).to_bytes(4, "big"), 64) == 0x6A80
    point, sw = terminal.send("80700000", generate, 64)
    assert (len(point), sw) == (64, 0x9000)
    assert terminal.point() == point
    signature, _ = terminal.sign(DIGEST)
    assert sm2.verify(point, DIGEST, signature)
    again = Terminal(Card(file).transmit)
    again.open(container=b"empty")
    assert again.point() == point


def test_there_are_no_exchange_keys(terminal: Terminal) -> None:
    assert terminal.sw("80880000", terminal.app + terminal.container, 68) == 0x6A95


def test_only_digests_of_the_host_are_signed(terminal: Terminal) -> None:
    terminal.verify()
    ids = terminal.app + terminal.container
    assert terminal.sw("80740100", ids + DIGEST, 68) == 0x6A86
    assert terminal.sw("80740200", ids + DIGEST[:-1], 68) == 0x6700
    assert terminal.sw("80740200", ids + DIGEST + b"\0", 68) == 0x6700


def test_verify(terminal: Terminal) -> None:
    terminal.verify()
    signature, _ = terminal.sign(DIGEST)
    bits = (256).to_bytes(4, "little")
    data = bits + terminal.point() + (32).to_bytes(4, "little") + DIGEST + signature
    assert terminal.sw("80760000", data) == 0x9000
    assert terminal.sw("80760000", data[:-1] + bytes((data[-1] ^ 1,))) == 0x6A98
    assert terminal.sw("80760000", data[:4] + b"\1" * 64 + data[68:]) == 0x6A80
    assert terminal.sw("80760000", bytes(4) + data[4:]) == 0x6A80


def test_the_expected_length(card: Card, terminal: Terminal) -> None:
    assert terminal.sw("80140001", terminal.app, 2) == 0x6C03
    assert terminal.sw("80140001", terminal.app, 0) == 0x9000
    card.adopt(le="exact")
    assert terminal.sw("80140001", terminal.app, 0) == 0x6C03
    assert terminal.sw("80140001", terminal.app, 4) == 0x6C03
    assert terminal.sw("80140001", terminal.app, 3) == 0x9000


def test_a_wrong_expected_length_costs_no_try_and_makes_no_signature(
    card: Card, terminal: Terminal
) -> None:
    card.adopt(le="exact", authorisation="once")
    terminal.verify()
    data = terminal.app + terminal.container + DIGEST
    assert terminal.sw("80740200", data, 0) == 0x6C44
    assert terminal.sw("80740200", data, 68) == 0x9000


def test_more_data(card: Card, terminal: Terminal) -> None:
    whole, _ = split(terminal.transmit(INFO))
    card.adopt(more_data=True)
    assert split(terminal.transmit(INFO)) == (b"", 0x6100)
    first, sw = split(terminal.transmit(bytes.fromhex("00c0000000")))
    assert (len(first), sw) == (256, 0x6120)
    rest, sw = split(terminal.transmit(bytes.fromhex("00c0000020")))
    assert (first + rest, sw) == (whole, 0x9000)
    assert terminal.sw("801c0000", terminal.app) == 0x9000


def test_a_pin_hash_is_not_changed_later(card: Card) -> None:
    with pytest.raises(ValueError, match="pin-hash"):
        card.adopt(pin_hash="sm3")


def test_one_firmwares_answer_to_a_wrong_pin(card: Card, terminal: Terminal) -> None:
    card.adopt(wrong_key="shifted")
    assert terminal.verify(b"wrongpin") == 0x63C0 | 9 << 8
    for _ in range(6):
        terminal.verify(b"wrongpin")
    assert terminal.verify(b"wrongpin") == 0x63C0  # two left
    assert terminal.verify(PIN) == 0x9000
