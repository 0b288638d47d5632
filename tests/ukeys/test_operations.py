# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All other operations of a ukey, for each make of ukey."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyservice.core.errors import (
    BadRequest,
    PinLocked,
    PinWrong,
    ReaderAbsent,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import Container, KeyRef, PinState, TryReserve
from keyservice.ukeys.gmt0017 import Gmt0017Kind
from keyservice.ukeys.kind import Ability
from keyservice.ukeys.operations import (
    CHANGE_PIN,
    CONTAINERS,
    GENERATE,
    PIN_STATE,
    UNBLOCK_PIN,
    VERIFY_PIN,
    Arguments,
    Operation,
)
from keyservice.ukeys.pool import Ukeys
from keyservice.ukeys.quirks import QuirkRule
from keyservice.ukeys.settings import ReaderSettings
from tests.support.ukeys import Softkey
from tests.ukeys.desks import ADMIN_PIN, Desk
from tests.ukeys.real import (
    NEW,
    PATIENCE,
    PIN,
    REF,
    SETTINGS,
    WRONG,
    commands,
    found,
    run,
    sign,
    soon,
    until,
)

GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER, EXPORT = 0x04, 0x26, 0x42, 0x88


def test_containers_and_a_new_pair(desk: Desk) -> None:
    desk.softkey(containers=("login",), empty_containers=("empty",))

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        empty, new = KeyRef("ukey", "empty"), KeyRef("ukey", "new")
        assert await handle.do(CONTAINERS, Arguments(), soon()) == [
            Container(REF, True),
            Container(empty, False),
        ]
        for ref in (empty, new):
            with Secret(PIN) as pin:
                made = await handle.do(
                    GENERATE, Arguments(ref, pin=pin, reserve=TryReserve.LAST), soon()
                )
            assert made == await handle.public_key(ref, soon())
        assert [each.has_key for each in await handle.do(CONTAINERS, Arguments(), soon())] == [
            True
        ] * 3

    run(scenario)


def test_changing_and_unblocking_the_pin(desk: Desk) -> None:
    desk.softkey(tries=3)

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        with Secret(PIN) as old, Secret(NEW) as new:
            await handle.do(
                CHANGE_PIN, Arguments(REF, pin=old, new_pin=new, reserve=TryReserve.LAST), soon()
            )
            with pytest.raises(PinWrong):
                await handle.do(
                    CHANGE_PIN,
                    Arguments(REF, pin=old, new_pin=new, reserve=TryReserve.LAST),
                    soon(),
                )
        assert await sign(handle, NEW)
        for _ in range(3):
            with pytest.raises(PinWrong):
                await sign(handle, WRONG, TryReserve.NONE)
        with pytest.raises(PinLocked):
            await sign(handle, NEW)
        with Secret(ADMIN_PIN) as admin, Secret(PIN) as new, Secret(WRONG) as wrong:
            with pytest.raises(PinWrong) as refused:
                await handle.do(UNBLOCK_PIN, Arguments(REF, pin=wrong, new_pin=new), soon())
            assert refused.value.facts["left"] == 9
            before = await handle.do(PIN_STATE, Arguments(REF, admin=True), soon())
            assert before == PinState(10, 9, default=False)
            assert handle.known_pin(REF) == PinState(3, 0, default=False)
            await handle.do(UNBLOCK_PIN, Arguments(REF, pin=admin, new_pin=new), soon())
        assert handle.known_pin(REF) == PinState(3, 3, default=False)
        with Secret(PIN) as pin:
            assert await handle.do(
                VERIFY_PIN, Arguments(REF, pin=pin, reserve=TryReserve.LAST), soon()
            ) == PinState(3, 3, False)

    run(scenario)


@pytest.mark.parametrize("operation", [CHANGE_PIN, UNBLOCK_PIN, GENERATE])
def test_what_a_kind_cannot_do_its_ukey_is_not_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, operation: Operation[Any]
) -> None:
    softkey = desk.softkey()
    monkeypatch.setattr(Gmt0017Kind, "can", frozenset(Ability) - {operation.needs})

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        commands(softkey)
        with Secret(PIN) as pin, Secret(NEW) as new, pytest.raises(BadRequest) as refused:
            await handle.do(operation, Arguments(REF, pin=pin, new_pin=new), soon())
        assert refused.value.reason is not None
        assert refused.value.facts == {"kind": "gmt0017"}
        assert commands(softkey) == []
        assert [handle.can(each) for each in (CHANGE_PIN, UNBLOCK_PIN, GENERATE)].count(True) == 2
        assert handle.can(VERIFY_PIN)

    run(scenario)


#: Two blocks, where its length is in front of it.
LONG = b"87654321876543"
#: What one vendor's library sends, and what its ukeys want.
VENDORS = {"mac_length": "wire", "pin_block": "sized", "size_order": "other"}


@pytest.mark.parametrize(
    ("traits", "quirks"),
    [
        ({"byte_order": "big"}, {"byte_order": "big"}),
        ({"mac_lc": "data+mac"}, {"mac_length": "command"}),
        ({"mac_lc": "swapped"}, {"mac_length": "swapped"}),
        ({"pin_hash": "sm3"}, {"pin_hash": "sm3"}),
        ({"mac_lc": "wire", "pin_block": "sized", "size_order": "other"}, VENDORS),
        ({"info_le": "0000", "le": "exact"}, {}),
        ({"more_data": True}, {}),
        ({"wrong_key": "shifted"}, {}),
        ({"reopen": "refused"}, {}),
        ({"authorisation": "once"}, {}),
    ],
)
def test_makes_of_ukeys_by_configuration(
    desk: Desk, traits: dict[str, object], quirks: dict[str, str]
) -> None:
    from tests.softkey.traits import Traits

    desk.softkey(traits=Traits(**traits))  # type: ignore[arg-type]
    rule = QuirkRule(serial="SN*", values=quirks)

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert [each.ref for each in await handle.do(CONTAINERS, Arguments(), soon())] == [REF]
        assert await sign(handle)
        with pytest.raises(PinWrong) as wrong:
            await sign(handle, WRONG)
        assert wrong.value.facts["left"] == 9
        with Secret(PIN) as old, Secret(NEW) as new:
            await handle.do(
                CHANGE_PIN, Arguments(REF, pin=old, new_pin=new, reserve=TryReserve.LAST), soon()
            )
        assert await sign(handle, NEW)
        with Secret(NEW) as old, Secret(LONG) as new:
            await handle.do(
                CHANGE_PIN, Arguments(REF, pin=old, new_pin=new, reserve=TryReserve.LAST), soon()
            )
        with Secret(LONG) as pin:
            more = Arguments(KeyRef(REF.application, "more"), pin=pin, reserve=TryReserve.LAST)
            made = await handle.do(GENERATE, more, soon())
        assert made == await handle.public_key(more.place, soon())

    run(scenario, ReaderSettings(allow_virtual_readers=True, quirks=(rule,)))


def test_a_serial_that_comes_late_is_waited_for(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(late_serial=0.5)
        softkey.insert()
        await until(ukeys, lambda: ukeys.present()[0].info is not None)
        assert await sign(ukeys.find("SN1"))

    run(scenario)


def test_nothing_of_this_outlives_the_pool(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> asyncio.Future[bool]:
        handle = await found(ukeys)
        softkey.control.misbehave(slow=500)
        waiting = asyncio.ensure_future(sign(handle))
        await asyncio.sleep(0.1)
        return waiting

    async def main() -> None:
        ukeys = Ukeys(SETTINGS)
        await ukeys.start()
        waiting = await scenario(ukeys)
        await asyncio.wait_for(ukeys.stop(), PATIENCE)
        with pytest.raises(ReaderAbsent):
            await waiting

    asyncio.run(main())
