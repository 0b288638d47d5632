# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a real ukey enforces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.softkey import sm2
from tests.softkey.card import Card
from tests.softkey.pincrypto import sm4
from tests.softkey.state import (
    FACTORY_ADMIN_PIN,
    FACTORY_DEVICE_KEY,
    FACTORY_PIN,
    StateFile,
    new,
)

from .terminal import ADMIN_PIN, NAME, PIN, RANDOM, Terminal, key_of, split

DIGEST = bytes(range(32))


def verify_block(terminal: Terminal, challenge: bytes, pin: bytes = PIN) -> bytes:
    return terminal.app + key_of(pin).respond(challenge)


# -- challenges


def test_verify_pin_needs_a_challenge(terminal: Terminal) -> None:
    assert terminal.sw("80180001", verify_block(terminal, bytes(8))) == 0x6984
    assert terminal.tries() == (10, 10, 0)


def test_a_challenge_serves_once(terminal: Terminal) -> None:
    challenge = terminal.challenge()
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x9000
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x6984


def test_a_wrong_try_uses_the_challenge_up_too(terminal: Terminal) -> None:
    challenge = terminal.challenge()
    assert terminal.sw("80180001", verify_block(terminal, challenge, b"wrongpin")) == 0x63C9
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x6984


def test_a_challenge_serves_the_very_next_command_only(terminal: Terminal) -> None:
    challenge = terminal.challenge()
    terminal.tries()
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x6984


def test_only_eight_random_bytes_are_a_challenge(terminal: Terminal) -> None:
    for length in (7, 9, 16):
        challenge, sw = terminal.send("80500000", le=length)
        assert (len(challenge), sw) == (length, 0x9000)
        block = verify_block(terminal, challenge[:8].ljust(8, b"\0"))
        assert terminal.sw("80180001", block) == 0x6984


def test_an_answer_to_an_older_challenge_is_a_wrong_pin(terminal: Terminal) -> None:
    captured = verify_block(terminal, terminal.challenge())
    terminal.challenge()
    assert terminal.sw("80180001", captured) == 0x63C9


def test_challenges_do_not_outlive_a_reset(card: Card, terminal: Terminal) -> None:
    challenge = terminal.challenge()
    card.reset()
    terminal.open()
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x6984


# -- tries


def test_wrong_pins_count_down_to_locked(terminal: Terminal) -> None:
    for left in range(9, -1, -1):
        assert terminal.verify(b"wrongpin") == 0x63C0 | left
        assert terminal.tries() == (10, left, 0)
    assert terminal.verify(b"wrongpin") == 0x6983
    assert terminal.verify(PIN) == 0x6983
    assert terminal.sign(DIGEST) == (b"", 0x6982)


def test_the_right_pin_gives_all_tries_back(terminal: Terminal) -> None:
    terminal.verify(b"wrongpin")
    terminal.verify(b"wrongpin")
    assert terminal.verify() == 0x9000
    assert terminal.tries() == (10, 10, 0)


def test_a_locked_pin_says_so_before_it_asks_for_a_challenge(terminal: Terminal) -> None:
    for _ in range(10):
        terminal.verify(b"wrongpin")
    assert terminal.sw("80180001", verify_block(terminal, bytes(8))) == 0x6983


def test_user_and_admin_tries_are_apart(terminal: Terminal) -> None:
    assert terminal.verify(b"wrongpin", role=0) == 0x63C9
    assert terminal.tries(0) == (10, 9, 0)
    assert terminal.tries(1) == (10, 10, 0)


def test_tries_outlive_a_reset_and_a_restart(
    file: StateFile, card: Card, terminal: Terminal
) -> None:
    terminal.verify(b"wrongpin")
    card.reset()
    terminal.open()
    assert terminal.tries() == (10, 9, 0)
    again = Terminal(Card(file).transmit)
    again.open()
    assert again.tries() == (10, 9, 0)


def test_a_try_is_on_record_before_the_pin_is_compared(
    file: StateFile, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def compare(*_: object) -> bool:
        seen.append(StateFile(file.path).load().applications[0].user.left)
        return True

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert terminal.verify() == 0x9000
    assert seen == [9]
    assert StateFile(file.path).load().applications[0].user.left == 10


def test_a_try_that_cannot_be_recorded_is_not_made(
    file: StateFile, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    assert terminal.verify() == 0x6581
    monkeypatch.undo()
    assert terminal.tries() == (10, 10, 0)
    assert terminal.sign(DIGEST) == (b"", 0x6982)


# -- the authorisation to sign


def test_signing_needs_the_user_pin(terminal: Terminal) -> None:
    assert terminal.sign(DIGEST) == (b"", 0x6982)
    assert terminal.verify(ADMIN_PIN, role=0) == 0x9000
    assert terminal.sign(DIGEST) == (b"", 0x6982)
    assert terminal.verify() == 0x9000
    signature, sw = terminal.sign(DIGEST)
    assert sw == 0x9000
    assert sm2.verify(terminal.point(), DIGEST, signature)


def test_clear_secure_state_ends_it(terminal: Terminal) -> None:
    terminal.verify()
    assert terminal.sw("801c0000", terminal.app) == 0x9000
    assert terminal.sign(DIGEST) == (b"", 0x6982)


def test_a_wrong_pin_ends_it(terminal: Terminal) -> None:
    terminal.verify()
    terminal.verify(b"wrongpin")
    assert terminal.sign(DIGEST) == (b"", 0x6982)


def test_a_reset_ends_it_and_closes_all(card: Card, terminal: Terminal) -> None:
    terminal.verify()
    card.reset()
    assert terminal.sign(DIGEST) == (b"", 0x698A)
    terminal.open()
    assert terminal.sign(DIGEST) == (b"", 0x6982)


def test_closing_the_application_ends_it(terminal: Terminal) -> None:
    terminal.verify()
    assert terminal.sw("80280000", terminal.app) == 0x9000
    assert terminal.sign(DIGEST) == (b"", 0x698A)
    terminal.open()
    assert terminal.sign(DIGEST) == (b"", 0x6982)


def test_opening_it_again_does_not_renew_nor_lose_it(terminal: Terminal) -> None:
    terminal.open()
    assert terminal.sign(DIGEST) == (b"", 0x6982)
    terminal.verify()
    terminal.open()
    assert terminal.sign(DIGEST)[1] == 0x9000


def test_it_can_last_for_one_signature_only(card: Card, terminal: Terminal) -> None:
    card.adopt(authorisation="once")
    terminal.verify()
    assert terminal.sign(DIGEST)[1] == 0x9000
    assert terminal.sign(DIGEST) == (b"", 0x6982)


# -- changing and unblocking PINs


def test_change_pin_needs_a_login_of_that_role(terminal: Terminal) -> None:
    assert terminal.change(PIN, b"new-pin-1") == 0x6982
    assert terminal.tries() == (10, 10, 0)
    terminal.verify()
    assert terminal.change(ADMIN_PIN, b"new-pin-1", role=0) == 0x6982


def test_change_pin(terminal: Terminal) -> None:
    terminal.verify()
    assert terminal.change(PIN, b"new-pin-1") == 0x9000
    assert terminal.sign(DIGEST) == (b"", 0x6982)
    assert terminal.verify(PIN) == 0x63C9
    assert terminal.verify(b"new-pin-1") == 0x9000


def test_change_pin_by_a_wrong_old_pin_costs_a_try(terminal: Terminal) -> None:
    terminal.verify()
    assert terminal.change(b"wrongpin", b"new-pin-1") == 0x63C9
    assert terminal.verify() == 0x9000


@pytest.mark.parametrize("new", [b"12345", b"", b"123\x00456", b"\x00" * 16])
def test_a_new_pin_has_six_bytes_at_least(file: StateFile, terminal: Terminal, new: bytes) -> None:
    terminal.verify()
    assert terminal.change(PIN, new) == 0x6A80
    assert [pin.left for pin in file.load().pins()] == [10, 10, 10]
    assert terminal.tries() == (10, 10, 0)
    assert terminal.verify() == 0x9000


def test_unblock_pin(terminal: Terminal) -> None:
    for _ in range(10):
        terminal.verify(b"wrongpin")
    assert terminal.unblock(ADMIN_PIN, b"new-pin-1") == 0x9000
    assert terminal.tries() == (10, 10, 0)
    assert terminal.verify(b"new-pin-1") == 0x9000


def test_unblock_pin_costs_tries_of_the_admin_pin(terminal: Terminal) -> None:
    for left in range(9, -1, -1):
        assert terminal.unblock(b"wrongpin", b"new-pin-1") == 0x63C0 | left
    assert terminal.unblock(ADMIN_PIN, b"new-pin-1") == 0x6983
    assert terminal.verify() == 0x9000


def test_a_pin_of_the_factory_is_the_default_until_it_is_changed(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "factory")
    file.create(new())
    terminal = Terminal(Card(file).transmit)
    terminal.open()
    assert (terminal.tries(0), terminal.tries(1)) == ((10, 10, 1), (10, 10, 1))
    assert terminal.verify(FACTORY_PIN) == 0x9000
    assert terminal.change(FACTORY_PIN, FACTORY_PIN) == 0x9000
    assert terminal.tries() == (10, 10, 0)
    assert terminal.verify(FACTORY_ADMIN_PIN, role=0) == 0x9000
    assert terminal.change(FACTORY_ADMIN_PIN, b"new-pin-1", role=0) == 0x9000
    assert [pin.default for pin in file.load().pins()] == [False] * 3


# -- device authentication


def authenticate(terminal: Terminal, key: bytes = FACTORY_DEVICE_KEY, p2: str = "02") -> int:
    return terminal.sw(f"801000{p2}", sm4(key).respond(terminal.challenge()))


def new_application(name: bytes = b"second", tries: int = 5, field: int = 32) -> bytes:
    pin = b"111111".ljust(16, b"\0") + tries.to_bytes(4, "little")
    return name.ljust(field, b"\0") + pin + pin + bytes.fromhex("ff000000 02 02 0000")


def test_create_application_needs_device_authentication(terminal: Terminal) -> None:
    assert terminal.sw("80200000", new_application()) == 0x6982
    assert authenticate(terminal, bytes(16)) == 0x63C9
    assert terminal.sw("80200000", new_application()) == 0x6982
    assert authenticate(terminal) == 0x9000
    assert terminal.sw("80200000", new_application()) == 0x9000
    terminal.open(b"second", container=None)
    assert terminal.tries() == (5, 5, 1)
    assert terminal.verify(b"111111") == 0x9000


def test_the_device_key_locks_for_good(file: StateFile, card: Card, terminal: Terminal) -> None:
    for left in range(9, -1, -1):
        assert authenticate(terminal, bytes(16)) == 0x63C0 | left
    assert authenticate(terminal) == 0x6983
    assert authenticate(Terminal(Card(file).transmit)) == 0x6983


def test_a_wrong_device_key_ends_the_authentication(file: StateFile, terminal: Terminal) -> None:
    assert authenticate(terminal) == 0x9000
    assert authenticate(terminal, bytes(16)) == 0x63C9
    assert terminal.sw("80200000", new_application()) == 0x6982
    assert file.load().device.left == 9
    assert authenticate(terminal) == 0x9000
    assert file.load().device.left == 10


def test_device_authentication_needs_a_challenge(terminal: Terminal) -> None:
    proof = sm4(FACTORY_DEVICE_KEY).respond(terminal.challenge())
    terminal.tries()
    assert terminal.sw("80100002", proof) == 0x6984


def test_device_authentication_ends_with_a_reset(card: Card, terminal: Terminal) -> None:
    assert authenticate(terminal) == 0x9000
    card.reset()
    assert terminal.sw("80200000", new_application()) == 0x6982


def test_device_authentication_is_by_sm4_only(terminal: Terminal) -> None:
    assert authenticate(terminal, p2="00") == 0x6A86
    assert authenticate(terminal, p2="01") == 0x6A86


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        (new_application(NAME), 0x6A89),
        (new_application(tries=0), 0x6A80),
        (new_application(tries=11), 0x6A80),
        (new_application(b"\xff"), 0x6A80),
        (new_application(b""), 0x6A80),
        (new_application(field=48), 0x6700),
    ],
)
def test_create_application_refuses(terminal: Terminal, data: bytes, sw: int) -> None:
    assert authenticate(terminal) == 0x9000
    assert terminal.sw("80200000", data) == sw


def test_create_application_with_names_of_48_bytes(card: Card, terminal: Terminal) -> None:
    card.adopt(name_length=48)
    assert authenticate(terminal) == 0x9000
    assert terminal.sw("80200000", new_application(b"n" * 48, field=48)) == 0x9000
    assert terminal.sw("80200000", new_application()) == 0x6700
    terminal.open(b"n" * 48, container=None)


def test_applications_have_an_end(terminal: Terminal) -> None:
    assert authenticate(terminal) == 0x9000
    for number in range(7):
        assert terminal.sw("80200000", new_application(b"app%d" % number)) == 0x9000
    assert terminal.sw("80200000", new_application()) == 0x6A84


def test_pins_of_two_applications_are_apart(terminal: Terminal) -> None:
    assert authenticate(terminal) == 0x9000
    terminal.sw("80200000", new_application())
    terminal.verify()
    first = terminal.app
    terminal.open(b"second", container=None)
    assert terminal.app != first
    assert terminal.sw("80400000", terminal.app + b"box", 2) == 0x6982
    assert terminal.verify(b"111111") == 0x9000
    assert terminal.sw("80400000", terminal.app + b"box", 2) == 0x9000


def test_a_refused_random_leaves_no_challenge(terminal: Terminal) -> None:
    challenge = split(terminal.transmit(RANDOM))[0]
    assert terminal.sw("80500000", le=257) == 0x6700
    assert terminal.sw("80180001", verify_block(terminal, challenge)) == 0x6984
