# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Many at once on one ukey, and ukeys that do not wait for each other."""

from __future__ import annotations

import asyncio

import pytest

from keyservice.core.errors import (
    DeadlinePassed,
)
from keyservice.ukeys.operations import PIN_STATE, Arguments
from keyservice.ukeys.pool import Ukeys
from tests.support.ukeys import Softkey
from tests.ukeys.desks import Desk
from tests.ukeys.real import (
    LOGIN,
    REF,
    WRONG,
    commands,
    found,
    run,
    sign,
    soon,
    until,
)

PIN_INFO = 0x14
GET_DEV_INFO, OPEN_APPLICATION, OPEN_CONTAINER, EXPORT = 0x04, 0x26, 0x42, 0x88


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


def test_what_is_for_an_idle_ukey_comes_after_all_others(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(slow=20)
        commands(softkey)
        first = asyncio.ensure_future(sign(handle))
        await asyncio.sleep(0)
        look = asyncio.ensure_future(handle.do(PIN_STATE, Arguments(REF), soon(), idle=True))
        await asyncio.sleep(0)
        with pytest.raises(DeadlinePassed):
            await handle.do(PIN_STATE, Arguments(REF), soon(0.01), idle=True)
        assert await asyncio.gather(first, *(sign(handle) for _ in range(3)))
        await look
        assert commands(softkey) == [*LOGIN * 4, PIN_INFO]

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
        softkey.control.misbehave(slow=100)
        first = asyncio.ensure_future(sign(handle))
        await asyncio.sleep(0)
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(0.2))
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(-1))
        assert await first

    run(scenario)


def test_two_ukeys_do_not_wait_for_each_other(desk: Desk, softkey: Softkey) -> None:
    other = desk.softkey(1, serial="SN2")

    async def scenario(ukeys: Ukeys) -> None:
        one, two = await found(ukeys, "SN1"), await found(ukeys, "SN2")
        await asyncio.gather(sign(one), sign(two))
        softkey.control.misbehave(slow=150)
        slow = asyncio.ensure_future(sign(one))
        for _ in range(2):
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
