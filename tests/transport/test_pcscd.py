# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The transport on the real pcscd, with an emulated ukey that is pulled, swapped and hung."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from smartcard import scard

from keyservice.core.errors import ReaderAbsent, UkeyAbsent, UkeyRemoved
from keyservice.transport.iso7816 import Commands
from keyservice.transport.pcsc import Card, Context, TransportError
from tests.support import CHECKOUT
from tests.support.daemons import start_pcscd
from tests.support.host import ADMIN_PIN, PIN
from tests.support.process import wait_until
from tests.support.ukeys import Softkey

READER = "Virtual PCD 0 00 00"
GET_DEV_INFO = 0x04


class Pcscd:
    """The real one, which a test may kill if it starts it again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        self.daemon = start_pcscd(self._folder)


@pytest.fixture(scope="module")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pcscd]:
    made = Pcscd(tmp_path_factory.mktemp("pcscd"))
    yield made
    made.daemon.stop()


@pytest.fixture(scope="module")
def only_softkey(pcscd: Pcscd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Softkey]:
    path = tmp_path_factory.mktemp("ukeys") / "one.ukey"
    made = Softkey(path, 0, pin=PIN, admin_pin=ADMIN_PIN, inserted=True, serial="SN1")
    yield made
    made.close()


@pytest.fixture
def softkey(only_softkey: Softkey) -> Softkey:
    """In its reader, seen by pcscd, and well-behaved; it stays there for the next test."""
    only_softkey.control.behave()
    only_softkey.insert()
    return only_softkey


def answers(card: Card) -> bool:
    """Whether the card answers. pcscd may not have noticed a pull and a return yet."""
    try:
        return len(ask(card)) == 288
    except (UkeyAbsent, TransportError):
        return False


@pytest.fixture
def card(softkey: Softkey) -> Iterator[Card]:
    made = Card(reader_name())
    yield made
    made.close()


def reader_name() -> str:
    context = Context()
    name = context.readers()[0]
    context.close()
    return name


def ask(card: Card) -> bytes:
    with card.transaction():
        return Commands(card).send(0x80, GET_DEV_INFO, 0, 0, le=288)


def test_a_card_answers(card: Card) -> None:
    assert len(ask(card)) == 288
    assert card.generation == 1


def test_pulled_between_transactions_and_put_back(card: Card, softkey: Softkey) -> None:
    ask(card)
    softkey.remove()
    with pytest.raises((UkeyAbsent, TransportError)):
        ask(card)
    before = card.generation
    softkey.insert()
    wait_until(lambda: answers(card), "answered")
    assert card.generation > before


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_in_mid_command(card: Card, softkey: Softkey, when: str) -> None:
    ask(card)
    softkey.control.misbehave(pull=when)
    with softkey.pulled(), pytest.raises(UkeyRemoved):
        ask(card)
    softkey.insert()
    wait_until(lambda: answers(card), "answered")


def test_an_empty_reader_has_no_ukey(card: Card, softkey: Softkey) -> None:
    softkey.remove()
    wait_until(lambda: not present(), "seen to be removed")
    with pytest.raises(UkeyAbsent):
        ask(card)


def present() -> bool:
    context = Context()
    [(_, state, _)] = context.wait([(reader_name(), scard.SCARD_STATE_UNAWARE)], 0)
    context.close()
    return bool(state & scard.SCARD_STATE_PRESENT)


def test_a_reader_that_is_not_there(softkey: Softkey) -> None:
    with pytest.raises(ReaderAbsent):
        ask(Card("No such reader 00 00"))


def test_pcscd_dies_and_comes_back(pcscd: Pcscd, card: Card) -> None:
    ask(card)
    pcscd.daemon.kill()
    with pytest.raises(ReaderAbsent):
        ask(card)
    with pytest.raises(ReaderAbsent):
        ask(card)
    pcscd.start()
    wait_until(present, "seen by pcscd")
    with pytest.raises(ReaderAbsent):
        ask(card)
    assert card.lost
    another = Card(card.reader)
    assert len(ask(another)) == 288
    another.close()


def test_somebody_elses_reset_is_noticed(card: Card) -> None:
    ask(card)
    before = card.generation
    other = Card(card.reader)
    with other.transaction():
        other.reset()
    other.close()
    assert len(ask(card)) == 288
    assert card.generation > before


def test_a_reset_inside_a_transaction_keeps_it(card: Card) -> None:
    with card.transaction():
        before = card.generation
        card.reset()
        assert card.generation > before
        assert len(Commands(card).send(0x80, GET_DEV_INFO, 0, 0, le=288)) == 288
        stranger = begin_elsewhere(card.reader)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.7)
    assert stranger.stdout is not None
    assert stranger.stdout.readline() == b"held\n"
    stranger.kill()
    stranger.wait()


_STRANGER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from keyservice.transport.pcsc import Card
card = Card(sys.argv[2])
with card.transaction():
    print("held", flush=True)
    time.sleep(60)
"""


def begin_elsewhere(reader: str) -> subprocess.Popen[bytes]:
    """Start another process, which says when it has a transaction, and sleeps in it."""
    command = [sys.executable, "-c", _STRANGER, os.fspath(CHECKOUT), reader]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_a_killed_process_leaves_its_transaction(card: Card) -> None:
    ask(card)
    stranger = begin_elsewhere(card.reader)
    assert stranger.stdout is not None
    assert stranger.stdout.readline() == b"held\n"
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
    started = time.monotonic()
    assert len(ask(card)) == 288
    assert time.monotonic() - started < 5


def test_an_exclusive_user_is_waited_for(card: Card) -> None:
    context = Context()
    code, handle, _ = scard.SCardConnect(
        context.handle(), card.reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
    )
    assert code == scard.SCARD_S_SUCCESS
    waiting = begin_elsewhere(card.reader)
    assert waiting.stdout is not None
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.7)
    scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
    assert waiting.stdout.readline() == b"held\n"
    waiting.kill()
    waiting.wait()


def test_half_a_status_word_fails_and_the_next_works(card: Card, softkey: Softkey) -> None:
    ask(card)
    softkey.control.misbehave(garbage="byte")
    with pytest.raises(TransportError):
        ask(card)
    softkey.control.behave()
    assert len(ask(card)) == 288
