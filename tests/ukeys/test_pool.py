# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pool: what is found, what a login costs, which reader is used."""

from __future__ import annotations

import asyncio
import select

import pytest

from keyservice.core.errors import (
    PinLocked,
    PinRefused,
    PinWrong,
    ReaderAbsent,
    ReaderRefused,
    TryWithheld,
    UkeyAbsent,
    UkeyAmbiguous,
    UkeyRemoved,
    UkeyRestarted,
)
from keyservice.ukeys.base import PinState, TryReserve, UkeyInfo
from keyservice.ukeys.operations import PIN_STATE, Arguments
from keyservice.ukeys.pcsc.source import Pcsc
from keyservice.ukeys.pool import ReaderEvent, Ukeys
from keyservice.ukeys.settings import ReaderSettings
from tests.support.ukeys import Softkey
from tests.ukeys.desks import READERS, Desk, DeskHere
from tests.ukeys.real import (
    LOGIN,
    PATIENCE,
    PIN,
    REF,
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
            await handle.do(PIN_STATE, Arguments(REF), soon())
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
                await sign(handle, WRONG, TryReserve.LAST)
            assert handle.known_pin(REF) == PinState(10, left, default=False)
        commands(softkey)
        for pin in (WRONG, PIN):
            with pytest.raises(TryWithheld) as withheld:
                await sign(handle, pin, TryReserve.LAST)
            assert withheld.value.facts["left"] == 1
            assert commands(softkey) == [0x14]
        with pytest.raises(PinWrong):
            await sign(handle, WRONG, TryReserve.NONE)
        commands(softkey)
        with pytest.raises(PinLocked):
            await sign(handle, PIN, TryReserve.NONE)
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


# -- which ukey, which reader


def test_a_serial_that_two_claim_is_nobodys(desk: Desk, softkey: Softkey) -> None:
    twin = desk.softkey(1)

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


def test_no_pcscd_no_reader(desk: DeskHere) -> None:
    desk.pcscd.stop()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        with pytest.raises(ReaderAbsent):
            ukeys.find("SN1")
        assert ukeys.present() == []

    run(scenario)


# -- beginnings and ends


def test_pcscd_goes_and_comes_back(desk: DeskHere, softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        desk.pcscd.stop()
        with pytest.raises(UkeyRestarted):
            await sign(handle)
        await until(ukeys, lambda: ukeys.present() == [])
        with pytest.raises(ReaderAbsent):
            ukeys.find("SN1")
        desk.pcscd.start()
        await until(ukeys, lambda: any(each.info for each in ukeys.present()))
        assert await sign(ukeys.find("SN1"))

    run(scenario)


def test_a_reader_that_is_unplugged_takes_its_ukey_along(desk: DeskHere, softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        desk.pcscd.remove_reader(READER)
        await until(ukeys, lambda: len(ukeys.present()) == 1)
        with pytest.raises(UkeyRemoved):
            await sign(handle)
        desk.pcscd.add_reader(READER)
        softkey.control.insert()
        await until(ukeys, lambda: any(each.info for each in ukeys.present()))
        assert await sign(ukeys.find("SN1"))

    run(scenario)


def test_what_is_seen_at_the_end_starts_nothing_any_more(desk: DeskHere, softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        await found(ukeys)
        (source,) = ukeys._there
        assert isinstance(source, Pcsc)
        watcher = source._watcher
        assert watcher is not None
        assert watcher._socket is not None
        softkey.control.remove()
        # the watcher has reported it, and nobody has listened yet
        assert select.select([watcher._socket], [], [], PATIENCE)[0]
        await ukeys.stop()
        assert ukeys.present() == []
        assert desk.processes.of("watcher") == []
        assert all(desk.processes.of("worker", reader) == [] for reader in READERS)

    run(scenario)
