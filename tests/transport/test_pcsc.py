# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The errors for PC/SC's codes, over a stubbed pyscard. test_pcscd.py has the real pcscd."""

from __future__ import annotations

from typing import Any

import pytest
from smartcard import scard

from keyservice.core.errors import (
    NotAllowed,
    ReaderAbsent,
    UkeyAbsent,
    UkeyFailed,
    UkeyHeld,
    UkeyRemoved,
)
from keyservice.core.reasons import Reason
from keyservice.transport import pcsc
from keyservice.transport.pcsc import Card, TransportError
from tests.transport.scard_stub import REMOVED, RESET, ScardStub

PING = bytes.fromhex("8004000000")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> ScardStub:
    made = ScardStub()
    monkeypatch.setattr(pcsc, "scard", made)
    return made


@pytest.fixture
def card(stub: ScardStub) -> Card:
    """Connected, idle."""
    made = Card("R")
    with made.transaction():
        pass
    stub.calls.clear()
    return made


def ping(card: Card) -> tuple[bytes, int]:
    with card.transaction():
        return card.transmit(PING)


def test_an_answer_is_its_body_and_status_word(stub: ScardStub, card: Card) -> None:
    stub.expect((PING.hex(), "aabb9000"))
    assert ping(card) == (b"\xaa\xbb", 0x9000)
    assert stub.done() == ["begin", "end leave"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (scard.SCARD_W_REMOVED_CARD, UkeyRemoved),
        (scard.SCARD_E_NO_SMARTCARD, UkeyRemoved),
        (scard.SCARD_E_READER_UNAVAILABLE, ReaderAbsent),
        (scard.SCARD_W_UNRESPONSIVE_CARD, TransportError),
        (scard.SCARD_E_INSUFFICIENT_BUFFER, TransportError),
    ],
)
def test_failed_commands(stub: ScardStub, card: Card, code: int, error: Any) -> None:
    stub.expect((PING.hex(), code))
    with pytest.raises(error):
        ping(card)
    stub.exchanges = [(PING.hex(), "9000")]
    assert ping(card) == (b"", 0x9000)  # and the next one finds its way


@pytest.mark.parametrize("code", [scard.SCARD_F_COMM_ERROR, scard.SCARD_E_NO_SERVICE])
def test_pcscd_that_dies_meanwhile_is_gone_for_good(stub: ScardStub, card: Card, code: int) -> None:
    stub.expect((PING.hex(), code))
    with pytest.raises(ReaderAbsent, match="pcscd"):
        ping(card)
    assert stub.done()[-1] == "release"
    stub.expect()
    with pytest.raises(ReaderAbsent, match="pcscd"):
        ping(card)
    assert stub.done() == []


NOTHING = "00c0000001"


@pytest.mark.parametrize("silence", ["", scard.SCARD_E_NOT_TRANSACTED])
def test_no_answer_at_all_means_pulled_out(stub: ScardStub, card: Card, silence: str | int) -> None:
    for again in ("", scard.SCARD_E_NOT_TRANSACTED, REMOVED):
        stub.expect((PING.hex(), silence), (NOTHING, again))
        with pytest.raises(UkeyRemoved):
            ping(card)
        # not reset: pcscd would not see its return
        assert stub.done()[-2:] == ["begin", "disconnect leave"]


@pytest.mark.parametrize("silence", ["", scard.SCARD_E_NOT_TRANSACTED])
def test_a_card_that_is_there_and_failed_is_reset(
    stub: ScardStub, card: Card, silence: str | int
) -> None:
    stub.expect((PING.hex(), silence), (NOTHING, "6d00"))
    with pytest.raises(TransportError, match="did not answer"):
        ping(card)
    assert stub.done() == ["begin", "end reset"]


@pytest.mark.parametrize("code", [RESET, scard.SCARD_E_PROTO_MISMATCH])
def test_a_reset_just_before_the_first_command(stub: ScardStub, card: Card, code: int) -> None:
    before = card.generation
    stub.expect((PING.hex(), code), (PING.hex(), "9000"))
    assert ping(card) == (b"", 0x9000)
    assert stub.done() == ["begin", "reconnect leave", "end leave"]
    assert card.generation > before
    # not any later: earlier work would be lost
    stub.expect((PING.hex(), "9000"), (PING.hex(), code))
    with pytest.raises(TransportError), card.transaction():
        card.transmit(PING)
        card.transmit(PING)
    assert stub.done() == ["begin", "end reset"]


def test_half_a_status_word_is_a_failure(stub: ScardStub, card: Card) -> None:
    stub.expect((PING.hex(), "90"))
    with pytest.raises(TransportError, match="status word"):
        ping(card)
    assert stub.done() == ["begin", "end reset"]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (NotAllowed("foreseen"), "end leave"),
        (UkeyFailed("not foreseen"), "end reset"),
        (RuntimeError("a bug"), "end reset"),
        (KeyboardInterrupt(), "end reset"),
    ],
)
def test_how_a_transaction_ends(
    stub: ScardStub, card: Card, error: BaseException, end: str
) -> None:
    before = card.generation
    with pytest.raises(type(error)), card.transaction():
        raise error
    assert stub.done() == ["begin", end]
    assert (card.generation > before) == (end == "end reset")


def test_a_card_that_was_reset_is_told_by_the_generation(stub: ScardStub, card: Card) -> None:
    before = card.generation
    stub.begins = [RESET]
    with card.transaction():
        assert card.generation > before
    assert stub.done() == ["begin", "reconnect leave", "begin", "end leave"]


def test_a_stale_handle_is_exchanged_once(stub: ScardStub, card: Card) -> None:
    stub.begins = [REMOVED]
    with card.transaction():
        pass
    assert stub.done() == ["begin", "disconnect leave", "connect", "begin", "end leave"]
    stub.expect()
    stub.begins = [REMOVED]
    stub.connects = [scard.SCARD_E_NO_SMARTCARD]
    with pytest.raises(UkeyAbsent), card.transaction():
        pass
    assert stub.done() == ["begin", "disconnect leave", "connect"]


def test_a_card_reset_over_and_over_is_given_up(stub: ScardStub, card: Card) -> None:
    stub.begins = [RESET] * 9
    with pytest.raises(TransportError, match="all the time"), card.transaction():
        pass


def test_a_dead_context_is_lost_for_good(stub: ScardStub, card: Card) -> None:
    stub.begins = [scard.SCARD_E_NO_SERVICE]
    stub.connects = [scard.SCARD_E_NO_SERVICE]
    with pytest.raises(ReaderAbsent, match="pcscd"), card.transaction():
        pass
    assert stub.done() == ["begin", "disconnect leave", "connect", "release"]
    stub.expect()
    assert card.lost
    with pytest.raises(ReaderAbsent, match="pcscd"), card.transaction():
        pass
    assert stub.done() == []


def test_a_dead_handle_costs_no_connection_to_pcscd(stub: ScardStub, card: Card) -> None:
    stub.begins = [scard.SCARD_E_INVALID_HANDLE]
    with card.transaction():
        pass
    assert stub.done() == ["begin", "disconnect leave", "connect", "begin", "end leave"]


def test_without_pcscd_there_is_no_reader(stub: ScardStub) -> None:
    stub.establishes = [scard.SCARD_E_NO_SERVICE]
    with pytest.raises(ReaderAbsent, match="pcscd"), Card("R").transaction():
        pass


def test_an_exclusive_user_is_waited_for(stub: ScardStub) -> None:
    stub.connects = [scard.SCARD_E_SHARING_VIOLATION, scard.SCARD_E_SHARING_VIOLATION]
    with Card("R").transaction():
        pass
    looks = ["connect"] * 3
    assert stub.done() == ["establish", *looks, "begin", "end leave"]


def test_an_exclusive_user_is_not_waited_for_without_end(stub: ScardStub) -> None:
    stub.connects = [scard.SCARD_E_SHARING_VIOLATION] * 100
    with pytest.raises(UkeyHeld) as caught, Card("R").transaction():
        pass
    assert caught.value.facts == {"reader": "R", "why": Reason.READER_HELD}
    assert len(stub.connects) > 90


def test_a_failing_end_connects_again(stub: ScardStub, card: Card) -> None:
    stub.ends = [REMOVED]
    with card.transaction():
        pass
    assert stub.done() == ["begin", "end leave", "disconnect leave"]
    with card.transaction():
        pass
    assert stub.done()[-3:] == ["connect", "begin", "end leave"]


def test_no_error_quotes_the_command(stub: ScardStub, card: Card) -> None:
    stub.expect((PING.hex(), scard.SCARD_F_UNKNOWN_ERROR))
    with pytest.raises(TransportError) as caught:
        ping(card)
    assert caught.value.facts == {"reader": "R", "code": "80100014"}
    assert PING.hex() not in repr(caught.value)
