# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The byte strings that other implementations of the command set agree on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.softkey import pincrypto, state
from tests.softkey.card import Card
from tests.softkey.state import StateFile
from tests.softkey.traits import Traits

CHALLENGE = bytes.fromhex("0011223344556677")
PIN, NEW = b"12345678", b"87654321"

OPEN = bytes.fromhex("80260000000004756b6579000a")
RANDOM = bytes.fromhex("80500000000008")
VERIFY_PIN = bytes.fromhex("801800010000120100 8be3bbed00b1eaa93c458d79769b7499")
CHANGE_PIN = "841600010000160100 f57f188f8986af91fd6408b567500f11"
UNBLOCK_PIN = bytes.fromhex("841a00000000160100 f57f188f8986af91fd6408b567500f11 ff48a77c")
DEVICE_AUTHENTICATION = bytes.fromhex("8010000200001076c1826c5252f90cef2bef479bd5cbcd")


def made(path: Path, **more: str) -> Card:
    """A card with the known PINs whose random numbers are the known challenge."""
    file = StateFile(path / "ukey")
    file.create(state.new(pin=PIN, admin_pin=PIN, traits=Traits(**more)))  # type: ignore[arg-type]
    return Card(file, random=lambda length: CHALLENGE[:length])


def run(card: Card, *commands: bytes) -> str:
    """The last answer, in hexadecimal; all others succeed."""
    for command in commands[:-1]:
        assert card.transmit(command).endswith(b"\x90\0")
    return card.transmit(commands[-1]).hex()


def test_the_key_of_a_pin() -> None:
    assert pincrypto.pin_key(PIN.ljust(16, b"\0")).hex() == "002fe525cb3afa592e4011157437c666"


def test_verify_pin(tmp_path: Path) -> None:
    assert run(made(tmp_path), OPEN, RANDOM, VERIFY_PIN) == "9000"


@pytest.mark.parametrize(
    ("mac_lc", "mac"), [("data", "e423621b"), ("data+mac", "65447d23"), ("swapped", "8e430361")]
)
def test_change_pin(tmp_path: Path, mac_lc: str, mac: str) -> None:
    card = made(tmp_path, mac_lc=mac_lc)
    change = bytes.fromhex(CHANGE_PIN + mac)
    assert run(card, OPEN, RANDOM, VERIFY_PIN, RANDOM, change) == "9000"
    assert card.state.applications[0].user.key == pincrypto.pin_key(NEW.ljust(16, b"\0"))


def test_change_pin_with_a_mac_over_another_length_is_a_wrong_pin(tmp_path: Path) -> None:
    change = bytes.fromhex(CHANGE_PIN + "65447d23")
    assert run(made(tmp_path), OPEN, RANDOM, VERIFY_PIN, RANDOM, change) == "63c9"


def test_unblock_pin(tmp_path: Path) -> None:
    card = made(tmp_path)
    assert run(card, OPEN, RANDOM, UNBLOCK_PIN) == "9000"
    assert card.state.applications[0].user.key == pincrypto.pin_key(NEW.ljust(16, b"\0"))


def test_device_authentication(tmp_path: Path) -> None:
    card = made(tmp_path)
    assert run(card, RANDOM, DEVICE_AUTHENTICATION) == "9000"
    assert card.device_authenticated


def test_answers_of_a_first_conversation(tmp_path: Path) -> None:
    card = made(tmp_path)
    assert run(card, OPEN) == "ff0000000808000001009000"
    assert run(card, bytes.fromhex("8042000000000701006c6f67696e0002")) == "01009000"
    assert run(card, bytes.fromhex("8014000100000201000003")) == "0a0a009000"
    assert run(card, RANDOM) == "00112233445566779000"
    assert run(card, bytes.fromhex("80220000000000")) == "756b657900009000"
    assert run(card, bytes.fromhex("804600000000020100")) == "6c6f67696e00009000"
    info = run(card, bytes.fromhex("804a000000000701006c6f67696e000b"))
    assert info == "02000100000000000000009000"


def test_big_endian_integers(tmp_path: Path) -> None:
    card = made(tmp_path, byte_order="big")
    assert run(card, OPEN) == "000000ff0808000001009000"
    assert run(card, bytes.fromhex("8042000000000701006c6f67696e0002")) == "01009000"
    assert run(card, bytes.fromhex("80880100000004010001000044"))[:8] == "00000100"
