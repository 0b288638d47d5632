# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pool on real pcscd: what is found, what a login costs, who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from keyservice.core.errors import (
    DeadlinePassed,
    PinLocked,
    PinRefused,
    PinWrong,
    ReaderAbsent,
    ReaderRefused,
    TryWithheld,
    UkeyAbsent,
    UkeyAmbiguous,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import Container, Keep, KeyRef, PinState, UkeyInfo
from keyservice.ukeys.pool import ReaderEvent, Ukeys
from keyservice.ukeys.settings import ReaderSettings
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.ukeys.conftest import (
    LOGIN,
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

READER = "Virtual PCD 00 00"
GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER, EXPORT = 0x04, 0x26, 0x42, 0x88


def test_what_is_inserted_is_found_and_told(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert handle.info == UkeyInfo(
            kind="gmt0017",
            reader=READER,
            serial="SN1",
            label="softkey",
            manufacturer="pam-ukey tests",
            virtual=True,
        )
        here, empty = ukeys.present()
        assert (here.reader, here.card_present, here.info) == (READER, True, handle.info)
        assert (empty.card_present, empty.info, empty.refused) == (False, None, False)
        with pytest.raises(UkeyAbsent):
            ukeys.find("SN2")

    run(scenario)


def test_insertion_and_removal_are_events(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        softkey.remove()
        gone = await until(ukeys, lambda: not ukeys.present()[0].card_present)
        assert gone == [ReaderEvent(READER, False, handle.info)]
        with pytest.raises(UkeyAbsent):
            ukeys.find("SN1")
        with pytest.raises(UkeyRemoved):
            await handle.pin_state(REF, soon())
        assert handle.known_pin(REF) is None
        softkey.insert()
        back = await until(ukeys, lambda: ukeys.present()[0].info is not None)
        assert back == [ReaderEvent(READER, True, handle.info)]
        assert await sign(ukeys.find("SN1"))

    run(scenario)


# -- what a login costs, in commands


def test_the_commands_of_logins(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert commands(softkey) == [GET_DEV_INFO]
        assert await sign(handle)  # the first since insertion
        opening = [OPEN_APPLICATION, OPEN_CONTAINER, EXPORT]
        assert commands(softkey) == opening + LOGIN
        assert await sign(handle)
        assert commands(softkey) == LOGIN
        assert await sign(await found(ukeys))
        assert commands(softkey) == LOGIN
        assert handle.known_pin(REF) == PinState(10, 10, default=False)

        with pytest.raises(PinWrong) as wrong:
            await sign(handle, WRONG)
        assert wrong.value.facts == {"reader": READER, "left": 9, "maximum": 10}
        assert commands(softkey) == [0x14, 0x50, 0x18, 0x1C]
        assert handle.known_pin(REF) == PinState(10, 9, default=False)
        assert await sign(handle)
        assert commands(softkey) == LOGIN

        with pytest.raises(PinRefused):
            await sign(handle, b"12345")
        assert commands(softkey) == []

    run(scenario)


def test_withheld_and_locked_cost_one_command(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        for left in range(9, 0, -1):
            with pytest.raises(PinWrong):
                await sign(handle, WRONG, Keep.LAST)
            assert handle.known_pin(REF) == PinState(10, left, default=False)
        commands(softkey)
        for pin in (WRONG, PIN):
            with pytest.raises(TryWithheld) as withheld:
                await sign(handle, pin, Keep.LAST)
            assert withheld.value.facts["left"] == 1
            assert commands(softkey) == [0x14]
        with pytest.raises(PinWrong):
            await sign(handle, WRONG, Keep.NONE)
        commands(softkey)
        with pytest.raises(PinLocked):
            await sign(handle, PIN, Keep.NONE)
        assert commands(softkey) == [0x14]
        assert handle.known_pin(REF) == PinState(10, 0, default=False)

    run(scenario)


def test_after_somebody_elses_reset(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        await asyncio.to_thread(_reset_by_a_stranger)
        commands(softkey)
        assert await sign(handle)
        told = commands(softkey)
        assert sorted(told) == sorted([GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER, *LOGIN])
        assert await sign(handle)
        assert commands(softkey) == LOGIN

    run(scenario)


def _reset_by_a_stranger() -> None:
    from keyservice.transport.pcsc import Card

    card = Card(READER)
    with card.transaction():
        card.reset()
    card.close()


# -- many at once


def test_sixty_four_at_once_on_one_ukey_each_in_turn(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        commands(softkey)
        order: list[int] = []

        async def one(number: int) -> bool:
            right = await sign(handle)
            order.append(number)
            return right

        assert all(await asyncio.gather(*map(one, range(64))))
        assert order == list(range(64))
        assert commands(softkey) == LOGIN * 64

    run(scenario)


def test_one_that_goes_away_while_waiting_sends_nothing(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(slow=100)
        commands(softkey)
        first = asyncio.ensure_future(sign(handle))
        others = [asyncio.ensure_future(sign(handle, WRONG)) for _ in range(3)]
        await asyncio.sleep(0.1)
        for other in others:
            other.cancel()
        assert await first
        softkey.control.behave()
        assert await sign(handle)
        assert commands(softkey) == LOGIN * 2

    run(scenario)


def test_one_that_goes_away_while_served_leaves_the_ukey_in_order(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(slow=60)
        commands(softkey)
        first = asyncio.ensure_future(sign(handle, WRONG))
        await asyncio.sleep(0.1)
        first.cancel()
        softkey.control.behave()
        assert await sign(handle)
        assert commands(softkey) == [0x14, 0x50, 0x18, 0x1C, *LOGIN]
        known = handle.known_pin(REF)
        assert known is not None
        assert known.left == 10

    run(scenario)


def test_a_deadline_in_the_queue(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(slow=200)
        first = asyncio.ensure_future(sign(handle))
        await asyncio.sleep(0)
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(0.3))
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(-1))
        assert await first

    run(scenario)


def test_two_ukeys_do_not_wait_for_each_other(host: Host, softkey: Softkey) -> None:
    other = host.softkey("other", slot=1, serial="SN2", pin=PIN)

    async def scenario(ukeys: Ukeys) -> None:
        one, two = await found(ukeys, "SN1"), await found(ukeys, "SN2")
        await asyncio.gather(sign(one), sign(two))
        softkey.control.misbehave(slow=300)
        slow = asyncio.ensure_future(sign(one))
        for _ in range(5):
            assert await sign(two)
        assert not slow.done()
        assert await slow
        softkey.control.behave()
        other.remove()
        [event] = await until(ukeys, lambda: not ukeys.present()[1].card_present)
        assert event.info == two.info
        commands(softkey)
        assert await sign(one)  # knows nothing of it
        assert commands(softkey) == LOGIN

    run(scenario)


# -- which ukey, which reader


def test_a_serial_that_two_claim_is_nobodys(host: Host, softkey: Softkey) -> None:
    twin = host.softkey("twin", slot=1, serial="SN1", pin=PIN)

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        await until(ukeys, lambda: all(each.info for each in ukeys.present()))
        with pytest.raises(UkeyAmbiguous):
            ukeys.find("SN1")
        twin.remove()
        await until(ukeys, lambda: not ukeys.present()[1].card_present)
        assert await sign(ukeys.find("SN1"))

    run(scenario)


@pytest.mark.parametrize(
    ("settings", "virtual"),
    [
        (ReaderSettings(), True),
        (ReaderSettings(allow_virtual_readers=True, deny=("*00",)), True),
        (ReaderSettings(allow_virtual_readers=True, allow=("Other *",)), True),
    ],
)
def test_a_refused_reader_is_never_touched(
    softkey: Softkey, settings: ReaderSettings, virtual: bool
) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        here = ukeys.present()[0]
        assert (here.card_present, here.info) == (True, None)
        assert (here.refused, here.virtual) == (True, virtual)
        with pytest.raises(ReaderRefused):
            ukeys.find("SN1")
        assert commands(softkey) == []

    run(scenario, settings)


def test_no_pcscd_no_reader(host: Host) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        with pytest.raises(ReaderAbsent):
            await ukeys.settled(soon())
        with pytest.raises(ReaderAbsent):
            ukeys.find("SN1")
        assert ukeys.present() == []

    run(scenario)


# -- everything else that a ukey does


def test_containers_and_a_new_pair(host: Host, pcscd: Daemon) -> None:
    softkey = host.softkey(
        serial="SN1", pin=PIN, containers=("login",), empty_containers=("empty",)
    )

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        empty, new = KeyRef("ukey", "empty"), KeyRef("ukey", "new")
        assert await handle.containers(soon()) == [Container(REF, True), Container(empty, False)]
        for ref in (empty, new):
            with Secret(PIN) as pin:
                made = await handle.generate(ref, pin, Keep.LAST, soon())
            assert made == await handle.public_key(ref, soon())
        assert [each.has_key for each in await handle.containers(soon())] == [True] * 3

    run(scenario)
    softkey.close()


def test_changing_and_unblocking_the_pin(host: Host, pcscd: Daemon) -> None:
    host.softkey(serial="SN1", pin=PIN, admin_pin=b"80352917", tries=3)

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        with Secret(PIN) as old, Secret(NEW) as new:
            await handle.change_pin(REF, old, new, Keep.LAST, soon())
            with pytest.raises(PinWrong):
                await handle.change_pin(REF, old, new, Keep.LAST, soon())
        assert await sign(handle, NEW)
        for _ in range(3):
            with pytest.raises(PinWrong):
                await sign(handle, WRONG, Keep.NONE)
        with pytest.raises(PinLocked):
            await sign(handle, NEW)
        with Secret(b"80352917") as admin, Secret(PIN) as new, Secret(WRONG) as wrong:
            with pytest.raises(PinWrong) as refused:
                await handle.unblock_pin(REF, wrong, new, soon())
            assert refused.value.facts["left"] == 9
            before = await handle.pin_state(REF, soon(), admin=True)
            assert before == PinState(10, 9, default=False)
            assert handle.known_pin(REF) == PinState(3, 0, default=False)
            await handle.unblock_pin(REF, admin, new, soon())
        assert handle.known_pin(REF) == PinState(3, 3, default=False)
        with Secret(PIN) as pin:
            assert await handle.verify_pin(REF, pin, Keep.LAST, soon()) == PinState(3, 3, False)

    run(scenario)


@pytest.mark.parametrize(
    ("traits", "quirks"),
    [
        ({"byte_order": "big"}, {"byte_order": "big"}),
        ({"mac_lc": "data+mac"}, {"mac_length": "command"}),
        ({"mac_lc": "swapped"}, {"mac_length": "swapped"}),
        ({"pin_hash": "sm3"}, {"pin_hash": "sm3"}),
        ({"info_le": "0000", "le": "exact"}, {}),
        ({"more_data": True}, {}),
        ({"wrong_key": "shifted"}, {}),
        ({"reopen": "refused"}, {}),
        ({"authorisation": "once"}, {}),
    ],
)
def test_makes_of_ukeys_by_configuration(
    host: Host, pcscd: Daemon, traits: dict[str, object], quirks: dict[str, str]
) -> None:
    from keyservice.ukeys.quirks import ByteOrder, MacLength, PinHash, QuirkRule, Quirks
    from tests.softkey.traits import Traits

    host.softkey(serial="SN1", pin=PIN, traits=Traits(**traits))  # type: ignore[arg-type]
    rule = QuirkRule(
        serial="SN*",
        quirks=Quirks(
            byte_order=ByteOrder(quirks.get("byte_order", "little")),
            mac_length=MacLength(quirks.get("mac_length", "data")),
            pin_hash=PinHash(quirks.get("pin_hash", "sha1")),
        ),
    )

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert [each.ref for each in await handle.containers(soon())] == [REF]
        assert await sign(handle)
        with pytest.raises(PinWrong) as wrong:
            await sign(handle, WRONG)
        assert wrong.value.facts["left"] == 9
        with Secret(PIN) as old, Secret(NEW) as new:
            await handle.change_pin(REF, old, new, Keep.LAST, soon())
        assert await sign(handle, NEW)

    run(scenario, ReaderSettings(allow_virtual_readers=True, quirks=(rule,)))


def test_a_serial_that_comes_late_is_waited_for(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(late_serial=1.0)
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
