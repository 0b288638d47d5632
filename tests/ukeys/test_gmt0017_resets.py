# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""When a GM/T 0017 ukey is reset, and what is asked again when it may have forgotten."""

from __future__ import annotations

import pytest

from keyservice.core.errors import (
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.transport.iso7816 import ResponseError
from keyservice.ukeys.base import TryReserve
from keyservice.ukeys.gmt0017.settings import ByteOrder, Quirks
from keyservice.ukeys.gmt0017.ukey import Gmt0017
from tests.transport.scard_stub import REMOVED, RESET, Exchange, ScardStub
from tests.ukeys.scripted import (
    CHALLENGE,
    CLEAR,
    E32,
    OK,
    OPEN_APP,
    OPEN_BOX,
    PIN,
    REF,
    RS,
    SIGN,
    SIGNED,
    VERIFY,
    dev_info,
    pin_info,
)

# -- a reset follows what a sound ukey never does, and nothing else


@pytest.mark.parametrize(
    "exchanges",
    [
        [pin_info(10), CHALLENGE, (VERIFY, "6984")],
        [pin_info(10), CHALLENGE, (VERIFY, "698a")],  # never sent twice
        [pin_info(10), CHALLENGE, (VERIFY, "6c12")],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "6982")],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "6a95")],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "00020000" + RS.hex() + OK)],
        [pin_info(10), CHALLENGE, (VERIFY, OK), SIGNED, (CLEAR[0], "6f00")],
        [pin_info(10), CHALLENGE, (VERIFY, "90")],
    ],
)
def test_a_misbehaving_ukey_is_reset(
    stub: ScardStub, opened: Gmt0017, exchanges: list[Exchange]
) -> None:
    stub.expect(*exchanges)
    with pytest.raises(UkeyFailed):
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    assert stub.done() == ["begin", "end reset"]
    # and it is asked again what it may have forgotten
    stub.expect(dev_info(), OPEN_APP, pin_info(9), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert opened.sign(REF, PIN, E32, TryReserve.RESERVE) == RS
    stub.done()


def test_the_other_byte_order_is_named(stub: ScardStub, opened: Gmt0017) -> None:
    answer = "00000100" + RS.hex() + OK
    stub.expect(pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, answer))
    with pytest.raises(ResponseError, match="byte_order"):
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    opened.quirks = Quirks(byte_order=ByteOrder.BIG)
    stub.expect(
        dev_info(), OPEN_APP, pin_info(9), OPEN_BOX, CHALLENGE, (VERIFY, OK), (SIGN, answer), CLEAR
    )
    assert opened.sign(REF, PIN, E32, TryReserve.NONE) == RS


# -- a card that has forgotten


def test_somebody_elses_reset_costs_three_commands(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        dev_info(), OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR
    )
    stub.begins = [RESET]
    assert opened.sign(REF, PIN, E32, TryReserve.RESERVE) == RS
    assert stub.done() == ["begin", "reconnect leave", "begin", "end leave"]


def test_an_application_that_has_closed_is_opened(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        (pin_info(0)[0], "698a"),
        *(dev_info(), OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR),
    )
    assert opened.sign(REF, PIN, E32, TryReserve.RESERVE) == RS
    stub.done()


def test_a_ukey_that_does_not_tell_its_serial_again_gets_no_pin(
    stub: ScardStub, opened: Gmt0017
) -> None:
    stub.expect(dev_info(b""))
    stub.begins = [REMOVED]
    with pytest.raises(UkeyRemoved):
        opened.sign(REF, PIN, E32, TryReserve.NONE)
    assert stub.done() == ["begin", "disconnect leave", "connect", "begin", "end leave"]


def test_an_application_left_open_by_a_dead_process(stub: ScardStub, ukey: Gmt0017) -> None:
    stub.expect((OPEN_APP[0], "6a8a"), dev_info(), OPEN_APP, pin_info(7))
    assert ukey.pin_state(REF).left == 7
    assert stub.done() == ["begin", "reconnect reset", "end leave"]
