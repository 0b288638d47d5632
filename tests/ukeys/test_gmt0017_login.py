# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Recognising a GM/T 0017 ukey and signing with it, byte by byte, through the real transport."""

from __future__ import annotations

import pytest

from keyservice.core.errors import (
    PinWrong,
)
from keyservice.transport import pcsc
from keyservice.transport.iso7816 import ResponseError
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.gmt0017.ukey import Gmt0017
from tests.transport.scard_stub import ScardStub
from tests.ukeys.scripted import (
    CHALLENGE,
    CLEAR,
    E32,
    OK,
    PIN,
    REF,
    RS,
    SIGNED,
    VERIFY,
    dev_info,
    pin_info,
)

# -- recognising


def test_a_ukey_is_recognised_by_its_device_info(stub: ScardStub, ukey: Gmt0017) -> None:
    info = ukey.info()
    assert (info.kind, info.reader, info.serial) == ("gmt0017", "R", "SN1")
    assert (info.label, info.manufacturer, info.virtual) == ("Label", "Acm", False)
    assert stub.done() == ["establish", "connect", "begin", "end leave"]


def test_some_want_any_length(stub: ScardStub) -> None:
    stub.expect(("80040000 000120", "6700"), dev_info(le="0000"))
    assert Gmt0017.recognise(pcsc.Card("R")) is not None
    stub.done()


@pytest.mark.parametrize("serial", [b"a b", b"\x01", b"\xff" * 32, "序".encode()])
def test_a_serial_that_cannot_be_shown_is_refused(stub: ScardStub, serial: bytes) -> None:
    stub.expect(dev_info(serial))
    with pytest.raises(ResponseError, match="serial"):
        Gmt0017.recognise(pcsc.Card("R"))


def test_a_serial_may_be_missing_yet(stub: ScardStub) -> None:
    stub.expect(dev_info(b""))
    made = Gmt0017.recognise(pcsc.Card("R"))
    assert made is not None
    assert made.info().serial == ""


# -- a login


def test_a_login_on_an_open_ukey_is_five_commands(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(8), CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert opened.sign(REF, PIN, E32, TryReserve.RESERVE) == RS
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)


def test_a_wrong_pin_is_four_commands_and_no_reset(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(10), CHALLENGE, (VERIFY, "63c9"), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.sign(REF, PIN, E32, TryReserve.RESERVE)
    assert caught.value.facts == {"left": 9, "maximum": 10}
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 9, default=False)


# -- how a wrong PIN is counted


@pytest.mark.parametrize(
    ("before", "sw", "after", "left"),
    [
        (10, "63c0", 9, 9),  # a firmware that loses the number
        (6, "67c0", 5, 5),  # 63C0 | 5 << 8
        (9, "6bc0", 8, 8),
        (2, "63c0", 1, 1),
        (5, "63cf", 4, 4),  # says more than there were
        (5, "63c1", 9, 4),  # contradicts itself twice: only the certain number is used
    ],
)
def test_a_dubious_count_is_checked_by_asking(
    stub: ScardStub, opened: Gmt0017, before: int, sw: str, after: int, left: int
) -> None:
    stub.expect(pin_info(before), CHALLENGE, (VERIFY, sw), pin_info(after), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    assert caught.value.facts["left"] == left
    assert stub.done() == ["begin", "end leave"]


@pytest.mark.parametrize("answer", ["6982", "016982", "019000"])
def test_a_ukey_that_will_not_clear_after_a_wrong_pin_is_reset(
    stub: ScardStub, opened: Gmt0017, answer: str
) -> None:
    stub.expect(pin_info(9), CHALLENGE, (VERIFY, "63c8"), (CLEAR[0], answer))
    with pytest.raises(PinWrong):
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    assert stub.done() == ["begin", "reconnect reset", "end leave"]


@pytest.mark.parametrize("answer", ["020501", "000000", "0a0b00"])
def test_a_pin_state_that_makes_no_sense_is_refused(
    stub: ScardStub, opened: Gmt0017, answer: str
) -> None:
    stub.expect((pin_info(1)[0], answer + OK))
    with pytest.raises(ResponseError):
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    assert stub.done()[:2] == ["begin", "end reset"]
