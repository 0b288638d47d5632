# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Calls that hang cost their callers a deadline, and the service nothing more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from keyservice.access import threads
from keyservice.access.turns import Turns, unbroken
from keyservice.core.errors import DeadlinePassed, PinWrong
from tests.support import CHECKOUT
from tests.support.process import wait_until


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """What a call waits for that hangs; let go at the end."""
    event = threading.Event()
    yield event
    event.set()
    wait_until(lambda: threads._running._value == threads.LIMIT, "all calls have come back")


def test_results_and_errors_come_back() -> None:
    async def play() -> None:
        assert await threads.call(5, int, "7", base=8) == 7
        with pytest.raises(ZeroDivisionError):
            await threads.call(5, lambda: 1 // 0)

    asyncio.run(play())


def test_a_call_that_hangs_costs_its_deadline(hung: threading.Event) -> None:
    async def play() -> None:
        begun = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await threads.call(0.2, hung.wait)
        assert 0.15 < time.monotonic() - begun < 1
        assert await threads.call(5, int, "1") == 1

    asyncio.run(play())


def test_no_more_than_a_number_of_them_hang(hung: threading.Event) -> None:
    async def play() -> None:
        calls = [threads.call(0.5, hung.wait) for _ in range(threads.LIMIT)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, DeadlinePassed) for result in results)
        begun = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await threads.call(30, int, "1")
        assert time.monotonic() - begun < 1

    asyncio.run(play())


def test_threads_are_used_again_and_do_not_pile_up() -> None:
    async def play() -> None:
        for _ in range(20):
            await asyncio.gather(*(threads.call(5, time.sleep, 0.001) for _ in range(10)))
        wait_until(
            lambda: sum(thread.name == "call" for thread in threading.enumerate()) <= threads.IDLE,
            "the threads beyond have ended",
        )

    asyncio.run(play())


def test_what_hangs_does_not_keep_the_service_from_ending() -> None:
    text = """
import asyncio, threading
from keyservice.access import threads
asyncio.run(threads.call(0.1, threading.Event().wait))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=CHECKOUT, capture_output=True, timeout=10, check=False
    )
    assert b"DeadlinePassed" in done.stderr


# -- turns


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
