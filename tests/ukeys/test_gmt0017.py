# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The GM/T 0017 driver, byte by byte, through the real transport over a stubbed pyscard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    PinLocked,
    PinRefused,
    PinWrong,
    TryWithheld,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.transport import pcsc
from keyservice.transport.apdu import CardError, ResponseError
from keyservice.ukeys.base import Container, Keep, KeyRef, PinState, PublicKey
from keyservice.ukeys.gmt0017 import Gmt0017
from keyservice.ukeys.quirks import ByteOrder, ExpectedLength, MacLength, Quirks
from tests.transport.scard_stub import REMOVED, RESET, Exchange, ScardStub

OK = "9000"
REF = KeyRef("app", "box")
PIN, NEW, ADMIN = Secret(b"12345678"), Secret(b"87654321"), Secret(b"12345678")
E32 = bytes(range(32))
RS = bytes(range(64, 128))
XY = bytes(range(128, 192))

# The challenge, PIN and application id of the known answers (facts of three implementations).
CHALLENGE: Exchange = ("80500000 000008", "0011223344556677" + OK)
VERIFY = "80180001 000012 0100 8be3bbed00b1eaa93c458d79769b7499"
NEW_PIN = "f57f188f8986af91fd6408b567500f11"
OPEN_APP: Exchange = ("80260000 000003 617070 000a", "00000000 02 02 0002 0100" + OK)
OPEN_BOX: Exchange = ("80420000 000005 0100 626f78 0002", "0700" + OK)
CLEAR: Exchange = ("801c0000 000002 0100", OK)
SIGN = "80740200 000024 0100 0700" + E32.hex() + "0044"
SIGNED: Exchange = (SIGN, "00010000" + RS.hex() + OK)
EXPORT = "80880100 000004 0100 0700 0044"


def pin_info(left: int, maximum: int = 10, default: int = 0, role: int = 1) -> Exchange:
    body = bytes((maximum, left, default)).hex()
    return f"801400{role:02x} 000002 0100 0003", body + OK


def dev_info(serial: bytes = b"SN1", le: str = "0120") -> Exchange:
    data = bytearray(288)
    data[4:7], data[132:137], data[164 : 164 + len(serial)] = b"Acme"[:3], b"Label", serial
    return "80040000 00" + le, data.hex() + OK


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> ScardStub:
    made = ScardStub()
    monkeypatch.setattr(pcsc, "scard", made)
    return made


@pytest.fixture
def ukey(stub: ScardStub) -> Gmt0017:
    """Just inserted and recognised."""
    stub.expect(dev_info())
    made = Gmt0017.recognise(pcsc.Card("R"))
    assert made is not None
    return made


@pytest.fixture
def opened(stub: ScardStub, ukey: Gmt0017) -> Gmt0017:
    """Known, idle, open."""
    stub.expect(OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert ukey.sign(REF, PIN, E32, Keep.RESERVE) == RS
    assert stub.done() == ["begin", "end leave"]
    return ukey


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


@pytest.mark.parametrize("answer", ["6d00", "6e00", "6a81", "6f00", "00" * 287 + OK, OK])
def test_another_kind_of_card_is_left_alone(stub: ScardStub, answer: str) -> None:
    stub.expect(("80040000 000120", answer))
    assert Gmt0017.recognise(pcsc.Card("R")) is None
    assert stub.done()[-1] == "end leave"


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
    assert opened.sign(REF, PIN, E32, Keep.RESERVE) == RS
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)


def test_a_wrong_pin_is_four_commands_and_no_reset(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(10), CHALLENGE, (VERIFY, "63c9"), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.sign(REF, PIN, E32, Keep.RESERVE)
    assert caught.value.facts == {"left": 9, "maximum": 10}
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 9, default=False)


@pytest.mark.parametrize(
    ("keep", "maximum", "left", "error"),
    [
        (Keep.NONE, 10, 0, PinLocked),
        (Keep.LAST, 10, 1, TryWithheld),
        (Keep.RESERVE, 10, 3, TryWithheld),
        (Keep.RESERVE, 3, 1, TryWithheld),
        (Keep.RESERVE, 1, 1, TryWithheld),
    ],
)
def test_a_try_that_must_not_be_spent_costs_one_command(
    stub: ScardStub, opened: Gmt0017, keep: Keep, maximum: int, left: int, error: Any
) -> None:
    stub.expect(pin_info(left, maximum))
    with pytest.raises(error):
        opened.sign(REF, PIN, E32, keep)
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(maximum, left, default=False)


@pytest.mark.parametrize(("keep", "left"), [(Keep.NONE, 1), (Keep.LAST, 2), (Keep.RESERVE, 4)])
def test_the_last_try_that_may_be_spent_is_spent(
    stub: ScardStub, opened: Gmt0017, keep: Keep, left: int
) -> None:
    stub.expect(pin_info(left), CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert opened.sign(REF, PIN, E32, keep) == RS
    stub.done()


def test_what_cannot_be_a_pin_sends_nothing(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect()
    with pytest.raises(PinRefused):
        opened.sign(REF, Secret(b"12345"), E32, Keep.NONE)
    with pytest.raises(BadRequest):
        opened.sign(REF, PIN, E32[:31], Keep.NONE)
    assert stub.done() == []


# -- how a wrong PIN is counted


@pytest.mark.parametrize(
    ("before", "sw", "after", "left"),
    [
        (10, "63c0", 9, 9),  # a firmware that loses the number
        (6, "67c0", 5, 5),  # 63C0 | 5 << 8
        (9, "6bc0", 8, 8),
        (2, "63c0", 1, 1),
        (5, "63cf", 4, 4),  # says more than there were
        (5, "63c1", 9, 4),  # contradicts itself twice: what must be true is taken
    ],
)
def test_a_dubious_count_is_checked_by_asking(
    stub: ScardStub, opened: Gmt0017, before: int, sw: str, after: int, left: int
) -> None:
    stub.expect(pin_info(before), CHALLENGE, (VERIFY, sw), pin_info(after), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert caught.value.facts["left"] == left
    assert stub.done() == ["begin", "end leave"]


def test_the_last_wrong_pin_says_that_none_are_left(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(1), CHALLENGE, (VERIFY, "63c0"), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert caught.value.facts["left"] == 0
    assert opened.seen_pin is not None
    assert opened.seen_pin.locked


def test_6983_is_locked(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(1), CHALLENGE, (VERIFY, "6983"), CLEAR)
    with pytest.raises(PinLocked):
        opened.sign(REF, PIN, E32, Keep.NONE)
    stub.done()


def test_a_ukey_that_will_not_clear_after_a_wrong_pin_is_reset(
    stub: ScardStub, opened: Gmt0017
) -> None:
    stub.expect(pin_info(9), CHALLENGE, (VERIFY, "63c8"), (CLEAR[0], "6982"))
    with pytest.raises(PinWrong):
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert stub.done() == ["begin", "reconnect reset", "end leave"]


@pytest.mark.parametrize("answer", ["020501", "000000", "0a0b00", "0a0a", "0a0a0000"])
def test_a_pin_state_that_makes_no_sense_is_refused(
    stub: ScardStub, opened: Gmt0017, answer: str
) -> None:
    stub.expect((pin_info(1)[0], answer + OK))
    with pytest.raises(ResponseError):
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert stub.done()[:2] == ["begin", "end reset"]


# -- a reset follows what a ukey in order does not do, and nothing else


@pytest.mark.parametrize(
    "exchanges",
    [
        [pin_info(10), CHALLENGE, (VERIFY, "6984")],
        [pin_info(10), CHALLENGE, (VERIFY, "698a")],  # never sent twice
        [pin_info(10), CHALLENGE, (VERIFY, "6c12")],
        [pin_info(10), (CHALLENGE[0], "00112233445566" + OK)],
        [pin_info(10), (CHALLENGE[0], "001122334455667788" + OK)],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "6982")],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "6a95")],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, RS.hex() + OK)],
        [pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, "00010000" + RS.hex() + "00" + OK)],
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
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert stub.done() == ["begin", "end reset"]
    # and what it may have forgotten is asked anew
    stub.expect(dev_info(), OPEN_APP, pin_info(9), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert opened.sign(REF, PIN, E32, Keep.RESERVE) == RS
    stub.done()


def test_the_other_byte_order_is_named(stub: ScardStub, opened: Gmt0017) -> None:
    answer = "00000100" + RS.hex() + OK
    stub.expect(pin_info(10), CHALLENGE, (VERIFY, OK), (SIGN, answer))
    with pytest.raises(ResponseError, match="byte_order"):
        opened.sign(REF, PIN, E32, Keep.NONE)
    opened.quirks = Quirks(byte_order=ByteOrder.BIG)
    stub.expect(
        dev_info(), OPEN_APP, pin_info(9), OPEN_BOX, CHALLENGE, (VERIFY, OK), (SIGN, answer), CLEAR
    )
    assert opened.sign(REF, PIN, E32, Keep.NONE) == RS


@pytest.mark.parametrize("at", range(5))
def test_pulled_out_at_any_command(stub: ScardStub, opened: Gmt0017, at: int) -> None:
    for failure in ("", REMOVED):
        exchanges = [pin_info(10), CHALLENGE, (VERIFY, OK), SIGNED, CLEAR]
        stub.expect(*exchanges[:at], (exchanges[at][0], failure))
        stub.exchanges += [("00c0000001", "")] if failure == "" else []
        with pytest.raises(UkeyRemoved):
            opened.sign(REF, PIN, E32, Keep.NONE)
        assert stub.done() == ["begin", "disconnect leave"]
        stub.expect(dev_info(), OPEN_APP, pin_info(9), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED)
        stub.exchanges.append(CLEAR)
        assert opened.sign(REF, PIN, E32, Keep.NONE) == RS


# -- a card that has forgotten


def test_somebody_elses_reset_costs_three_commands(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        dev_info(), OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR
    )
    stub.begins = [RESET]
    assert opened.sign(REF, PIN, E32, Keep.RESERVE) == RS
    assert stub.done() == ["begin", "reconnect leave", "begin", "end leave"]


def test_an_application_that_has_closed_is_opened(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        (pin_info(0)[0], "698a"),
        *(dev_info(), OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR),
    )
    assert opened.sign(REF, PIN, E32, Keep.RESERVE) == RS
    stub.done()


@pytest.mark.parametrize("other", [dev_info(b"SN2"), dev_info(b""), ("80040000 000120", "6d00")])
def test_another_ukey_in_its_place_gets_no_pin(
    stub: ScardStub, opened: Gmt0017, other: Exchange
) -> None:
    stub.expect(other)
    stub.begins = [REMOVED]
    with pytest.raises(UkeyRemoved):
        opened.sign(REF, PIN, E32, Keep.NONE)
    assert stub.done() == ["begin", "disconnect leave", "connect", "begin", "end leave"]


def test_an_application_left_open_by_a_dead_process(stub: ScardStub, ukey: Gmt0017) -> None:
    stub.expect((OPEN_APP[0], "6a8a"), dev_info(), OPEN_APP, pin_info(7))
    assert ukey.pin_state(REF).left == 7
    assert stub.done() == ["begin", "reconnect reset", "end leave"]


# -- without a PIN


def test_the_public_key(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect((EXPORT, "00010000" + XY.hex() + OK))
    assert opened.public_key(REF) == PublicKey("sm2", XY)
    stub.expect((EXPORT, "6a95"))
    with pytest.raises(NoKeyPair):
        opened.public_key(REF)
    assert stub.done() == ["begin", "end leave"]


@pytest.mark.parametrize("answer", [XY.hex(), "00010000" + XY.hex() + "00", "00000000" + XY.hex()])
def test_a_public_key_of_another_form_is_refused(
    stub: ScardStub, opened: Gmt0017, answer: str
) -> None:
    stub.expect((EXPORT, answer + OK))
    with pytest.raises(ResponseError):
        opened.public_key(REF)


@pytest.mark.parametrize("sw", ["6a88", "6a8b"])
def test_a_missing_application_is_no_key_pair(stub: ScardStub, ukey: Gmt0017, sw: str) -> None:
    stub.expect((OPEN_APP[0], sw))
    with pytest.raises(NoKeyPair):
        ukey.sign(REF, PIN, E32, Keep.NONE)
    assert stub.done() == ["begin", "end leave"]


def test_a_missing_container_is_told_before_the_pin_is_spent(
    stub: ScardStub, ukey: Gmt0017
) -> None:
    stub.expect(OPEN_APP, pin_info(10), (OPEN_BOX[0], "6a91"))
    with pytest.raises(NoKeyPair):
        ukey.sign(REF, PIN, E32, Keep.NONE)
    stub.done()


def test_containers_of_all_applications(stub: ScardStub, opened: Gmt0017) -> None:
    names = [b"app", b"two"]
    stub.expect(
        ("80220000 000000", b"\0".join(names).hex() + "0000" + OK),
        ("80460000 000002 0100 0000", b"box\0empty\0\xff\xfe\0\x1b[2J\0\0".hex() + OK),
        ("804a0000 000005 0100 626f78 000b", "02 00010000 00000000 00 00" + OK),
        ("804a0000 000007 0100 656d707479 000b", "00 00000000 00000000 00 00" + OK),
        ("80260000 000003 74776f 000a", "00000000 02 02 0002 0200" + OK),
        ("80460000 000002 0200 0000", "0000" + OK),
        ("80280000 000002 0200", OK),
    )
    assert opened.containers() == [
        Container(KeyRef("app", "box"), has_key=True),
        Container(KeyRef("app", "empty"), has_key=False),
    ]
    assert stub.done() == ["begin", "end leave"]


def test_rsa_pairs_and_wrong_lists_are_no_sm2(stub: ScardStub, opened: Gmt0017) -> None:
    listed: list[Exchange] = [
        ("80220000 000000", b"app\0\0".hex() + OK),
        ("80460000 000002 0100 0000", b"box\0\0".hex() + OK),
    ]
    info = "804a0000 000005 0100 626f78 000b"
    stub.expect(*listed, (info, "01 00080000 00000000 00 00" + OK))
    assert opened.containers() == [Container(REF, has_key=False)]
    stub.expect(("80220000 000000", b"app".hex() + OK))
    with pytest.raises(ResponseError, match="two zeros"):
        opened.containers()


def test_any_length_where_the_quirk_says_so(stub: ScardStub, opened: Gmt0017) -> None:
    opened.quirks = Quirks(expected_length=ExpectedLength.ANY)
    stub.expect(("80140001 000002 0100 0000", "0a0a00" + OK))
    assert opened.pin_state(REF).left == 10


# -- changing PINs


def test_a_pin_is_proven_and_nothing_else(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(3, default=1), CHALLENGE, (VERIFY, OK), CLEAR)
    assert opened.verify_pin(REF, PIN, Keep.LAST) == PinState(10, 10, default=True)
    stub.done()


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (MacLength.DATA, "e423621b"),
        (MacLength.COMMAND, "65447d23"),
        (MacLength.SWAPPED, "8e430361"),
    ],
)
def test_changing_the_pin(stub: ScardStub, opened: Gmt0017, length: MacLength, mac: str) -> None:
    opened.quirks = Quirks(mac_length=length)
    change = "84160001 000016 0100" + NEW_PIN + mac
    stub.expect(pin_info(10, default=1), CHALLENGE, (VERIFY, OK), CHALLENGE, (change, OK), CLEAR)
    opened.change_pin(REF, PIN, NEW, Keep.LAST)
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)
    # whatever it says, it is not asked a second time
    for sw in ("6988", "63c9", "6700"):
        opening = [dev_info(), OPEN_APP] if "end reset" in stub.calls else []
        stub.expect(*opening, pin_info(10), CHALLENGE, (VERIFY, OK), CHALLENGE, (change, sw))
        with pytest.raises(CardError):
            opened.change_pin(REF, PIN, NEW, Keep.LAST)
        assert stub.done() == ["begin", "end reset"]


def test_a_wrong_old_pin_changes_nothing(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(5), CHALLENGE, (VERIFY, "63c4"), CLEAR)
    with pytest.raises(PinWrong):
        opened.change_pin(REF, PIN, NEW, Keep.LAST)
    stub.done()
    with pytest.raises(PinRefused):
        opened.change_pin(REF, PIN, Secret(b"short"), Keep.LAST)


UNBLOCK = "841a0000 000016 0100" + NEW_PIN + "ff48a77c"


def test_unblocking(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(5, role=0), CHALLENGE, (UNBLOCK, OK), pin_info(10), CLEAR)
    opened.unblock_pin(REF, ADMIN, NEW)
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)


def test_a_wrong_admin_pin(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(5, role=0), CHALLENGE, (UNBLOCK, "63c4"), CLEAR)
    with pytest.raises(PinWrong) as caught:
        opened.unblock_pin(REF, ADMIN, NEW)
    assert caught.value.facts["left"] == 4
    assert opened.seen_pin is None  # that of the user PIN


@pytest.mark.parametrize(("left", "error"), [(1, TryWithheld), (0, PinLocked)])
def test_the_admin_pins_last_try_is_never_spent(
    stub: ScardStub, opened: Gmt0017, left: int, error: Any
) -> None:
    stub.expect(pin_info(left, role=0))
    with pytest.raises(error):
        opened.unblock_pin(REF, ADMIN, NEW)
    stub.done()


# -- making a pair

INFO_NEW = "804a0000 000005 0100 6e6577 000b"
NEW_REF = KeyRef("app", "new")
GENERATE: Exchange = ("80700000 000008 0100 0800 00010000 0040", XY.hex() + OK)


def test_a_pair_in_a_new_container(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        *(pin_info(10), (INFO_NEW, "6a91"), CHALLENGE, (VERIFY, OK)),
        ("80400000 000005 0100 6e6577 0002", "0800" + OK),
        *(GENERATE, CLEAR),
    )
    assert opened.generate(NEW_REF, PIN, Keep.LAST) == PublicKey("sm2", XY)
    assert stub.done() == ["begin", "end leave"]


def test_a_pair_in_an_empty_container(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        *(pin_info(10), (INFO_NEW, "00" * 11 + OK), CHALLENGE, (VERIFY, OK)),
        ("80420000 000005 0100 6e6577 0002", "0800" + OK),
        *(GENERATE, CLEAR),
    )
    assert opened.generate(NEW_REF, PIN, Keep.LAST) == PublicKey("sm2", XY)


def test_a_pair_is_never_overwritten(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(10), (INFO_NEW, "02 00010000 00000000 00 00" + OK))
    with pytest.raises(BadRequest, match="holds a key pair"):
        opened.generate(NEW_REF, PIN, Keep.LAST)
    assert stub.done() == ["begin", "end leave"]


@pytest.mark.parametrize("name", ["", "x" * 33, "a\0b"])
def test_names_that_no_container_can_have(stub: ScardStub, opened: Gmt0017, name: str) -> None:
    stub.expect(pin_info(10))
    with pytest.raises(BadRequest):
        opened.sign(KeyRef("app", name), PIN, E32, Keep.NONE)


def test_no_pin_is_in_any_error(stub: ScardStub, opened: Gmt0017) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: opened.sign(REF, PIN, E32, Keep.NONE),
        lambda: opened.change_pin(REF, PIN, NEW, Keep.NONE),
    ]
    for attempt in attempts:
        opening = [dev_info(), OPEN_APP] if "end reset" in stub.calls else []
        stub.expect(*opening, pin_info(10))
        stub.exchanges += [OPEN_BOX] if opening and attempt is attempts[0] else []
        stub.exchanges += [CHALLENGE, (VERIFY, "6f00")]
        with pytest.raises(CardError) as caught:
            attempt()
        text = f"{caught.value} {caught.value!r} {caught.value.facts} {caught.value.__cause__}"
        assert "12345678" not in text
        assert "8be3bbed" not in text
