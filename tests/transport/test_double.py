# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The double of pcscd that other tests use does what the real one does: the same tests, on it."""

# ruff: noqa: F401 - what is imported here is run here

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from smartcard import scard

from keyservice.transport.pcsc import Card
from tests.inprocess import processes
from tests.inprocess.pcscd import Killed, Pcscd, Process
from tests.inprocess.ukeys import SoftkeyHere
from tests.support.host import ADMIN_PIN, PIN
from tests.transport.test_pcscd import (
    ask,
    test_a_card_answers,
    test_a_reader_that_is_not_there,
    test_an_empty_reader_has_no_ukey,
    test_half_a_status_word_fails_and_the_next_works,
    test_pcscd_dies_and_comes_back,
    test_pulled_between_transactions_and_put_back,
    test_pulled_in_mid_command,
    test_somebody_elses_reset_is_noticed,
)

READER = "Virtual PCD 00 00"


class Double(Pcscd):
    """Killed by the name that the real one has."""

    @property
    def daemon(self) -> SimpleNamespace:
        return SimpleNamespace(kill=self.stop)


@pytest.fixture
def pcscd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pcscd]:
    monkeypatch.setattr(processes, "Pcscd", Double)
    for made, _ in processes.installed(monkeypatch, READER):
        yield made


@pytest.fixture
def softkey(pcscd: Pcscd, tmp_path: Path) -> Iterator[SoftkeyHere]:
    path = tmp_path / "one.ukey"
    made = SoftkeyHere(pcscd, path, 0, pin=PIN, admin_pin=ADMIN_PIN, inserted=True, serial="SN1")
    yield made
    made.close()


@pytest.fixture
def card(softkey: SoftkeyHere) -> Iterator[Card]:
    made = Card(READER)
    yield made
    made.close()


class Elsewhere:
    """Another process that begins a transaction, in a thread."""

    def __init__(self, pcscd: Pcscd) -> None:
        self._pcscd, self._process = pcscd, Process()
        self.held, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self._pcscd.process(self._process), Card(READER).transaction():
                self.held.set()
                self.ended.wait(30)
        except Killed:
            pass

    def kill(self) -> None:
        self._pcscd.kill(self._process)
        self.ended.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_a_reset_inside_a_transaction_keeps_it(card: Card, pcscd: Pcscd) -> None:
    with card.transaction():
        card.reset()
        stranger = Elsewhere(pcscd)
        assert not stranger.held.wait(0.1)
    assert stranger.held.wait(10)
    stranger.kill()


def test_a_killed_process_leaves_its_transaction(card: Card, pcscd: Pcscd) -> None:
    ask(card)
    before = card.generation
    stranger = Elsewhere(pcscd)
    assert stranger.held.wait(10)
    stranger.kill()
    assert len(ask(card)) == 288
    assert card.generation > before  # and its card was reset


def test_an_exclusive_user_is_waited_for(card: Card, pcscd: Pcscd) -> None:
    code, context = pcscd.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    assert code == scard.SCARD_S_SUCCESS
    exclusive = scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
    code, handle, _ = pcscd.SCardConnect(context, READER, *exclusive)
    assert code == scard.SCARD_S_SUCCESS
    waiting = Elsewhere(pcscd)
    assert not waiting.held.wait(0.1)
    pcscd.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
    assert waiting.held.wait(10)
    waiting.kill()


def test_a_mute_card_holds_its_caller_until_it_is_pulled(
    card: Card, pcscd: Pcscd, softkey: SoftkeyHere
) -> None:
    softkey.control.misbehave(mute=True)
    stranger, failed = Process(), threading.Event()

    def hang() -> None:
        try:
            with pcscd.process(stranger):
                ask(Card(READER))
        except Killed:
            failed.set()

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    while not softkey.control.apdus():
        time.sleep(0.001)
    pcscd.kill(stranger)
    assert failed.wait(10)
    # its reader is still at work, though nobody waits for it any more
    other = Elsewhere(pcscd)
    assert not other.held.wait(0.1)
    softkey.control.behave()
    softkey.control.remove()
    softkey.control.insert()
    other.kill()
    thread.join(10)
    assert len(ask(card)) == 288
