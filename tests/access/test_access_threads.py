# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls: each with its deadline, none in the way of another, threads used again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from keyservice.access import threads
from keyservice.core.errors import DeadlinePassed
from tests.support import CHECKOUT

SECONDS = 10.0


def test_what_is_returned_or_raised_comes_back() -> None:
    def fail() -> None:
        raise LookupError("no such name")

    async def main() -> None:
        assert await threads.call(SECONDS, int, "2a", base=16) == 42
        with pytest.raises(LookupError, match="no such name"):
            await threads.call(SECONDS, fail)

    asyncio.run(main())


def test_a_thread_that_came_back_is_used_again() -> None:
    async def main() -> set[int]:
        return {await threads.call(SECONDS, threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(main())) == 1


def test_a_call_that_hangs_costs_itself_its_deadline_and_others_nothing() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(DeadlinePassed):
            await threads.call(0.05, release.wait, SECONDS)
        assert await threads.call(SECONDS, int, "7") == 7
        release.set()

    asyncio.run(main())


def test_calls_that_hang_have_an_end() -> None:
    release = threading.Event()

    async def main() -> None:
        hanging = [
            asyncio.create_task(threads.call(SECONDS, release.wait, SECONDS))
            for _ in range(threads.LIMIT)
        ]
        await asyncio.sleep(0)
        with pytest.raises(DeadlinePassed, match="earlier"):
            await threads.call(SECONDS, int, "7")
        release.set()
        assert all(await asyncio.gather(*hanging))
        assert await threads.call(SECONDS, int, "7") == 7

    asyncio.run(main())


def test_a_burst_leaves_few_threads() -> None:
    together = threading.Barrier(2 * threads.IDLE)

    async def main() -> None:
        calls = (threads.call(SECONDS, together.wait, SECONDS) for _ in range(together.parties))
        await asyncio.gather(*calls)

    asyncio.run(main())
    kept = [thread for thread in threading.enumerate() if thread.name == "call"]
    for thread in kept:
        thread.join(0.2)
    assert sum(thread.is_alive() for thread in kept) <= threads.IDLE


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
