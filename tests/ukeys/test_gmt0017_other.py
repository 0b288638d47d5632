# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All other operations of a GM/T 0017 ukey, byte by byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
)
from keyservice.crypto.key import PublicKey
from keyservice.transport.iso7816 import CardError, ResponseError
from keyservice.ukeys.base import Container, KeyRef, PinState, TryReserve
from keyservice.ukeys.gmt0017.settings import ExpectedLength, MacLength, Quirks
from keyservice.ukeys.gmt0017.ukey import Gmt0017
from tests.transport.scard_stub import Exchange, ScardStub
from tests.ukeys.scripted import (
    ADMIN,
    CHALLENGE,
    CLEAR,
    E32,
    EXPORT,
    NEW,
    NEW_PIN,
    OK,
    OPEN_APP,
    OPEN_BOX,
    PIN,
    REF,
    VERIFY,
    XY,
    dev_info,
    pin_info,
)

# -- without a PIN


def test_the_public_key(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect((EXPORT, "00010000" + XY.hex() + OK))
    assert opened.public_key(REF) == PublicKey("sm2", XY)
    stub.expect((EXPORT, "6a95"))
    with pytest.raises(NoKeyPair):
        opened.public_key(REF)
    assert stub.done() == ["begin", "end leave"]


def test_a_public_key_of_another_size_is_refused(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect((EXPORT, "00000000" + XY.hex() + OK))
    with pytest.raises(ResponseError):
        opened.public_key(REF)


@pytest.mark.parametrize("sw", ["6a88", "6a8b"])
def test_a_missing_application_is_no_key_pair(stub: ScardStub, ukey: Gmt0017, sw: str) -> None:
    stub.expect((OPEN_APP[0], sw))
    with pytest.raises(NoKeyPair):
        ukey.sign(REF, PIN, E32, TryReserve.NONE)
    assert stub.done() == ["begin", "end leave"]


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
    assert opened.verify_pin(REF, PIN, TryReserve.LAST) == PinState(10, 10, default=True)
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
    opened.change_pin(REF, PIN, NEW, TryReserve.LAST)
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)
    # whatever it answers, it is not asked again
    for sw in ("6988", "63c9", "6700"):
        opening = [dev_info(), OPEN_APP] if "end reset" in stub.calls else []
        stub.expect(*opening, pin_info(10), CHALLENGE, (VERIFY, OK), CHALLENGE, (change, sw))
        with pytest.raises(CardError):
            opened.change_pin(REF, PIN, NEW, TryReserve.LAST)
        assert stub.done() == ["begin", "end reset"]


UNBLOCK = "841a0000 000016 0100" + NEW_PIN + "ff48a77c"


def test_unblocking(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(5, role=0), CHALLENGE, (UNBLOCK, OK), pin_info(10), CLEAR)
    opened.unblock_pin(REF, ADMIN, NEW)
    assert stub.done() == ["begin", "end leave"]
    assert opened.seen_pin == PinState(10, 10, default=False)


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
    assert opened.generate(NEW_REF, PIN, TryReserve.LAST) == PublicKey("sm2", XY)
    assert stub.done() == ["begin", "end leave"]


def test_a_pair_in_an_empty_container(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(
        *(pin_info(10), (INFO_NEW, "00" * 11 + OK), CHALLENGE, (VERIFY, OK)),
        ("80420000 000005 0100 6e6577 0002", "0800" + OK),
        *(GENERATE, CLEAR),
    )
    assert opened.generate(NEW_REF, PIN, TryReserve.LAST) == PublicKey("sm2", XY)


def test_a_name_that_no_container_can_have(stub: ScardStub, opened: Gmt0017) -> None:
    stub.expect(pin_info(10))
    with pytest.raises(BadRequest):
        opened.sign(KeyRef("app", "x" * 33), PIN, E32, TryReserve.NONE)


def test_no_pin_is_in_any_error(stub: ScardStub, opened: Gmt0017) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: opened.sign(REF, PIN, E32, TryReserve.NONE),
        lambda: opened.change_pin(REF, PIN, NEW, TryReserve.NONE),
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
