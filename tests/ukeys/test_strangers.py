# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Other programs at the reader, and ukeys that misbehave: what that costs, and whom."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from keyservice.core.errors import (
    DeadlinePassed,
    PinWrong,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyHeld,
    UkeyRemoved,
)
from keyservice.core.reasons import Reason
from keyservice.ukeys.base import TryReserve
from keyservice.ukeys.pool import Ukeys
from keyservice.ukeys.settings import ReaderSettings
from tests.support.ukeys import Softkey
from tests.ukeys.desks import Desk
from tests.ukeys.real import (
    LOGIN,
    REF,
    back,
    commands,
    found,
    run,
    sign,
    soon,
    until,
)

READER = "Virtual PCD 00 00"
IMPATIENT = ReaderSettings(allow_virtual_readers=True, operation_deadline=1.0)


def test_a_stranger_costs_a_login_its_deadline_and_not_the_reader(
    desk: Desk, softkey: Softkey
) -> None:
    desk.softkey(1, serial="SN2")

    async def scenario(ukeys: Ukeys) -> None:
        one, two = await found(ukeys, "SN1"), await found(ukeys, "SN2")
        await asyncio.gather(sign(one), sign(two))
        async with desk.stranger(READER):
            started = time.monotonic()
            held = asyncio.ensure_future(sign(one, deadline=soon(0.8)))
            assert await sign(two)  # nobody else waits
            assert not held.done()
            with pytest.raises(DeadlinePassed):
                await held
            assert 0.7 < time.monotonic() - started < 3
            started = time.monotonic()
            with pytest.raises(DeadlinePassed):  # the limit of one operation
                await sign(one, deadline=soon(30))
            assert time.monotonic() - started < 10
        assert await sign(one)
        assert desk.workers() == 2

    run(scenario, IMPATIENT)


def _why(ukeys: Ukeys) -> object:
    """Why the ukey is not found: the error's reason, or its type."""
    try:
        ukeys.find("SN1")
    except UkeyHeld as error:
        return error.facts["why"]
    except UkeyAbsent:
        return UkeyAbsent
    return None


def test_a_card_held_at_its_insertion_is_asked_again(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(slow=1500, ins=(0x04,))
        softkey.insert()
        await until(ukeys, lambda: ukeys.present()[0].card_present)
        # once it has not answered in time, it is told as that
        await until(ukeys, lambda: _why(ukeys) is Reason.READER_MUTE)
        softkey.control.behave()
        with suppress(UkeyHeld):
            ukeys.find("SN1")  # asks it again
        await until(ukeys, lambda: ukeys.present()[0].info is not None)
        assert await sign(ukeys.find("SN1"))

    run(scenario, IMPATIENT)


@pytest.mark.parametrize(
    "faults",
    [
        {"garbage": "random"},
        {"garbage": "byte"},
        {"garbage": "status"},
        {"garbage": "huge"},
        {"lengthen": 1},
        {"lengthen": -1},
        {"sw": 0x6F00},
        {"foreign": True},
    ],
)
def test_nonsense_at_any_command_fails_that_login_and_the_next_works(
    softkey: Softkey, faults: dict[str, Any]
) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        for at in range(1, len(LOGIN) + 1):
            commands(softkey)
            softkey.control.misbehave(at=at, **faults)
            try:
                right = await sign(handle, reserve=TryReserve.NONE)
            except UkeyError as error:
                assert isinstance(error, UkeyFailed | UkeyRemoved | PinWrong)
                right = False
            # an answer without data cannot be shortened, and after 6CXX the command is sent again
            harmless = faults == {"lengthen": -1} and at in (3, 5)
            # so is random data, where it ends so
            assert right == harmless or faults.get("garbage") in ("status", "random")
            softkey.control.behave()
            assert await sign(await found(ukeys))
            assert softkey.tries_left() == 10

    run(scenario)


@pytest.mark.parametrize("signature", ["flipped", "zero", "out-of-range", "other-key", "replayed"])
def test_a_wrong_signature_is_passed_on_and_does_not_verify(
    softkey: Softkey, signature: str
) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        softkey.control.misbehave(signature=signature)
        assert not await sign(handle)
        softkey.control.behave()
        assert await sign(handle)

    run(scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_at_any_command(softkey: Softkey, when: str) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        for at in range(1, len(LOGIN) + 1):
            handle = await found(ukeys)
            await sign(handle)
            commands(softkey)
            softkey.control.misbehave(pull=when, at=at)
            with pytest.raises(UkeyRemoved):
                await sign(handle)
            softkey.control.behave()
            softkey.insert()
            await back(ukeys)

    run(scenario)


def test_a_mute_ukey_costs_its_deadline_until_it_is_pulled(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(mute=True)
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(0.5))
        assert handle.known_pin(REF) is None  # nobody knows whether a try was spent
        softkey.remove()
        softkey.control.behave()
        softkey.insert()
        await back(ukeys)

    run(scenario, IMPATIENT)


def test_another_ukey_in_the_same_place_is_never_given_the_pin(desk: Desk) -> None:
    one = desk.softkey()

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        one.close()
        two = desk.softkey(serial="SN2")  # pcscd has usually seen nothing
        with pytest.raises(UkeyRemoved):
            await sign(handle)
        assert 0x18 not in commands(two)
        await until(ukeys, lambda: any(e.info and e.info.serial == "SN2" for e in ukeys.present()))
        assert await sign(ukeys.find("SN2"))
        with pytest.raises(UkeyRemoved):
            await sign(handle)

    run(scenario)


def test_a_card_that_is_no_ukey_is_left_alone(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(foreign=True)
        softkey.insert()
        await until(ukeys, lambda: ukeys.present()[0].card_present)
        await ukeys.settled(soon())
        assert ukeys.present()[0].info is None
        with pytest.raises(UkeyAbsent):
            ukeys.find("SN1")
        assert commands(softkey) == [0x04, 0xA4, 0xA4]  # each kind asks it once what it is

    run(scenario)
