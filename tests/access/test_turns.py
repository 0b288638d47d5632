# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Turns on a ukey, and work that is not broken off."""

from __future__ import annotations

import asyncio

import pytest

from keyservice.access.turns import Turns, unbroken
from keyservice.core.errors import PinWrong


def test_turns_come_in_order_and_leave_nothing() -> None:
    order: list[object] = []

    async def take(turns: Turns, number: int) -> None:
        async def waiting() -> None:
            order.append(f"{number} waits")

        async with turns.of("SN1", waiting):
            await asyncio.sleep(0.01)
            order.append(number)

    async def play() -> None:
        turns = Turns()
        others = [asyncio.create_task(take(turns, number)) for number in range(4)]
        await asyncio.sleep(0)
        others[2].cancel()  # gives up in the queue
        await asyncio.gather(*others, return_exceptions=True)
        assert turns._queues == {}

    asyncio.run(play())
    assert [each for each in order if isinstance(each, int)] == [0, 1, 3]
    assert "0 waits" not in order
    assert "1 waits" in order


def test_who_comes_between_two_turns_has_waited_too() -> None:
    """The ukey is free then, but the next session has been called already."""
    waited: list[bool] = []

    async def nothing() -> None: ...

    async def take(turns: Turns, times: int) -> None:
        for _ in range(times):  # the next time at once, before anybody else runs
            async with turns.of("SN1", nothing) as others:
                waited.append(others)
                await asyncio.sleep(0.01)

    async def play() -> None:
        turns = Turns()
        await asyncio.gather(take(turns, 2), take(turns, 1))

    asyncio.run(play())
    assert waited == [False, True, True]


@pytest.mark.parametrize("lasting", [True, False])
def test_work_is_not_broken_off(lasting: bool) -> None:
    async def nothing() -> None: ...

    async def work(fails: bool) -> str:
        await asyncio.sleep(0.05)
        if fails:
            raise PinWrong(left=2)
        return "done"

    async def play() -> None:
        for fails in (True, False):
            task = asyncio.create_task(unbroken(work(fails), nothing, lasting=lasting))
            for _ in range(3):
                await asyncio.sleep(0.005)
                task.cancel()
            if fails:
                with pytest.raises(PinWrong):
                    await task
            elif lasting:
                assert await task == "done"
            else:
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(play())
