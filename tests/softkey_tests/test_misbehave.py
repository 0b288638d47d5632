# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each fault, on a card without a reader."""

from __future__ import annotations

import pytest

from tests.softkey import sm2
from tests.softkey.card import Card
from tests.softkey.misbehave import Faults, Misbehaving, Reply

from .terminal import INFO, RANDOM, Terminal, split

DIGEST = bytes(range(32))
SIGN, EXPORT = 0x74, 0x88


class Faulty:
    """A terminal on a card with faults; keeps the last whole reply."""

    def __init__(self, card: Card, **faults: object) -> None:
        self.now = 0.0
        self.card = Misbehaving(
            card,
            Faults(**faults),  # type: ignore[arg-type]
            monotonic=lambda: self.now,
        )
        self.reply = Reply(None)
        self.terminal = Terminal(self._transmit)

    def _transmit(self, apdu: bytes) -> bytes:
        self.reply = self.card.transmit(apdu)
        return self.reply.answer or b"\0\0"

    def ready(self) -> Terminal:
        self.terminal.open()
        assert self.terminal.verify() == 0x9000
        return self.terminal


def test_slow(card: Card) -> None:
    faulty = Faulty(card, slow=50)
    faulty.terminal.open()
    assert faulty.reply.delay == 0.05


def test_mute(card: Card) -> None:
    assert Misbehaving(card, Faults(mute=True)).transmit(INFO) == (None, 0.0, False, False)


def test_foreign(card: Card) -> None:
    faulty = Misbehaving(card, Faults(foreign=True))
    for apdu in (INFO, RANDOM, bytes.fromhex("80260000000004756b6579000a")):
        assert faulty.transmit(apdu).answer == b"\x6d\0"


def test_any_status_word(card: Card) -> None:
    assert Misbehaving(card, Faults(sw=0x6F00)).transmit(INFO).answer == b"\x6f\0"


def test_an_error_that_brings_data(card: Card) -> None:
    assert Misbehaving(card, Faults(sw=0x6F00, lengthen=2)).transmit(INFO).answer == b"\0\0\x6f\0"


def test_garbage(card: Card) -> None:
    def answers(kind: str) -> list[bytes]:
        faulty = Misbehaving(card, Faults(garbage=kind))
        return [faulty.transmit(INFO).answer or b"" for _ in range(20)]

    right = card.transmit(INFO)
    assert len({len(answer) for answer in answers("random")}) > 1
    assert {len(answer) for answer in answers("byte")} == {1}
    assert {len(answer) for answer in answers("status")} == {2}
    assert {(len(answer), answer[-2:]) for answer in answers("huge")} == {(4098, b"\x90\0")}
    content = answers("content")
    assert {(len(answer), answer[-2:]) for answer in content} == {(290, b"\x90\0")}
    assert right not in content


@pytest.mark.parametrize(("by", "length"), [(1, 9), (-1, 7), (-20, 0)])
def test_wrong_lengths(card: Card, by: int, length: int) -> None:
    data, sw = split(Misbehaving(card, Faults(lengthen=by)).transmit(RANDOM).answer or b"")
    assert (len(data), sw) == (length, 0x9000)


@pytest.mark.parametrize("kind", ["flipped", "zero", "out-of-range", "other-key", "replayed"])
def test_a_wrong_signature_has_the_right_form_and_does_not_verify(card: Card, kind: str) -> None:
    terminal = Faulty(card, signature=kind).ready()
    for digest in (DIGEST, bytes(32)):
        signature, sw = terminal.sign(digest)
        assert (len(signature), sw) == (64, 0x9000)
        assert not sm2.verify(terminal.point(), digest, signature)


def test_a_replayed_signature_was_right_once(card: Card) -> None:
    terminal = Faulty(card).ready()
    earlier, _ = terminal.sign(DIGEST)
    terminal = Faulty(card, signature="replayed").ready()
    signature, _ = terminal.sign(bytes(32))
    assert signature == earlier


def test_a_clone_is_consistent_and_has_another_key(card: Card) -> None:
    right = Faulty(card).ready().point()
    terminal = Faulty(card, other_key=True).ready()
    point = terminal.point()
    assert point != right
    assert terminal.point() == point
    signature, _ = terminal.sign(DIGEST)
    assert sm2.verify(point, DIGEST, signature)
    info, _ = split(terminal.transmit(INFO))
    assert info[164:170] == b"SK0001"


def test_signing_with_another_key_under_the_right_point(card: Card) -> None:
    right = Faulty(card).ready().point()
    terminal = Faulty(card, other_key=True, ins=(SIGN,)).ready()
    assert terminal.point() == right
    signature, _ = terminal.sign(DIGEST)
    assert not sm2.verify(right, DIGEST, signature)


def test_the_serial_may_come_late(card: Card) -> None:
    faulty = Faulty(card, late_serial=1.0)
    faulty.now = 0.5
    info, _ = split(faulty.card.transmit(INFO, 0.0).answer or b"")
    assert info[164:196] == bytes(32)
    faulty.now = 1.5
    info, _ = split(faulty.card.transmit(INFO, 0.0).answer or b"")
    assert info[164:170] == b"SK0001"


def test_faults_at_some_instructions_only(card: Card) -> None:
    terminal = Faulty(card, sw=0x6F00, ins=(SIGN, EXPORT)).ready()
    assert terminal.sw("80740200", terminal.app + terminal.container + DIGEST, 68) == 0x6F00
    assert terminal.sw("80880100", terminal.app + terminal.container, 68) == 0x6F00
    assert terminal.tries() == (10, 10, 0)


def test_faults_at_the_nth_apdu_only(card: Card) -> None:
    faulty = Misbehaving(card, Faults(sw=0x6F00, at=3))
    answers = [(faulty.transmit(RANDOM).answer or b"")[-2:].hex() for _ in range(5)]
    assert answers == ["9000", "9000", "6f00", "9000", "9000"]
    faulty = Misbehaving(card, Faults(sw=0x6F00, at=2, ins=(0x50,)))
    for apdu in (RANDOM, INFO):
        assert (faulty.transmit(apdu).answer or b"").endswith(b"\x90\0")
    assert faulty.transmit(RANDOM).answer == b"\x6f\0"


@pytest.mark.parametrize(("when", "left"), [("before", 10), ("after", 9)])
def test_pulled_out(card: Card, when: str, left: int) -> None:
    faulty = Faulty(card, pull=when, ins=(0x18,))
    faulty.terminal.open()
    faulty.terminal.verify(b"wrongpin")
    assert faulty.reply == (None, 0.0, True, False)
    assert faulty.terminal.tries() == (10, left, 0)
    faulty.card.disarm()
    assert faulty.terminal.verify() == 0x9000
    assert not faulty.card.faults


@pytest.mark.parametrize(
    "wrong",
    [
        {"slow": -1},
        {"slow": "fast"},
        {"mute": 1},
        {"garbage": "some"},
        {"ins": (256,)},
        {"ins": 0x74},
        {"at": 1.5},
        {"at": True},
    ],
)
def test_wrong_switches_are_refused(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Faults(**wrong)  # type: ignore[arg-type]


def test_no_fault_is_no_fault() -> None:
    assert not Faults()
    assert not Faults(ins=(0x74,), at=2)
    assert Faults(slow=1)
