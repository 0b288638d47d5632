# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls: each has its deadline, none delays another, and threads are used again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from keyservice.access import threads
from keyservice.access.conversation import STRANGERS
from keyservice.core.errors import DeadlinePassed
from tests.support import CHECKOUT

SECONDS = 10.0
ROOT = 0


def test_what_is_returned_or_raised_comes_back() -> None:
    def fail() -> None:
        raise LookupError("no such name")

    async def main() -> None:
        assert await threads.call(SECONDS, ROOT, int, "2a", base=16) == 42
        with pytest.raises(LookupError, match="no such name"):
            await threads.call(SECONDS, ROOT, fail)

    asyncio.run(main())


def test_a_thread_that_came_back_is_used_again() -> None:
    async def main() -> set[int]:
        return {await threads.call(SECONDS, ROOT, threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(main())) == 1


def test_a_call_that_hangs_costs_itself_its_deadline_and_others_nothing() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(DeadlinePassed):
            await threads.call(0.05, ROOT, release.wait, SECONDS)
        assert await threads.call(SECONDS, ROOT, int, "7") == 7
        release.set()

    asyncio.run(main())


class Hanging:
    """Calls that hang until they are released."""

    def __init__(self) -> None:
        self._release = threading.Event()
        self._running = threading.Semaphore(0)
        self._tasks: list[asyncio.Task[bool]] = []

    async def begin(self, calls: int, person: int | None, running: int) -> None:
        """Begin so many, and wait until so many of them run."""
        for _ in range(calls):
            work = threads.call(SECONDS, person, self._hang)
            self._tasks.append(asyncio.create_task(work))
        for _ in range(running):
            assert await asyncio.to_thread(self._running.acquire, timeout=SECONDS)
        await asyncio.sleep(0.05)
        assert not self._running.acquire(blocking=False)

    def _hang(self) -> bool:
        self._running.release()
        return self._release.wait(SECONDS)

    async def end(self) -> None:
        """Release them, also those that did not run yet."""
        self._release.set()
        assert all(await asyncio.gather(*self._tasks))


def test_calls_that_hang_have_an_end() -> None:
    async def main() -> None:
        hanging = Hanging()
        await hanging.begin(threads.LIMIT, ROOT, threads.LIMIT)
        with pytest.raises(DeadlinePassed, match="earlier"):
            await threads.call(0.05, ROOT, int, "7")
        waiting = asyncio.create_task(threads.call(SECONDS, ROOT, int, "7"))
        await asyncio.sleep(0)
        await hanging.end()
        assert await waiting == 7

    asyncio.run(main())


def test_what_hangs_for_people_is_not_in_roots_way() -> None:
    async def main() -> None:
        hanging = Hanging()
        for person in (1000, 1001, 1002, None):
            await hanging.begin(threads.LIMIT, person, threads.PERSON)
        await hanging.begin(threads.LIMIT, 1003, 0)
        for _ in range(2):
            others = (threads.call(SECONDS, ROOT, int, "7") for _ in range(threads.LIMIT))
            assert await asyncio.gather(*others) == [7] * threads.LIMIT
        await hanging.end()

    asyncio.run(main())


def test_what_hangs_for_people_and_strangers_at_once_leaves_threads_to_consoles() -> None:
    async def main() -> None:
        hanging = Hanging()
        await hanging.begin(2 * threads.LIMIT, STRANGERS, threads.SYSTEM)
        for person in (1000, 1001, 1002, 1003):
            await hanging.begin(threads.LIMIT, person, threads.PERSON)
        assert await threads.call(SECONDS, ROOT, int, "7") == 7
        await hanging.end()

    asyncio.run(main())


def test_what_hangs_for_one_person_is_not_in_anothers_way() -> None:
    async def main() -> None:
        hanging = Hanging()
        await hanging.begin(threads.LIMIT, 1000, threads.PERSON)
        assert await threads.call(SECONDS, 1001, int, "7") == 7
        with pytest.raises(DeadlinePassed, match="earlier"):
            await threads.call(0.05, 1000, int, "7")
        await hanging.end()
        assert await threads.call(SECONDS, 1000, int, "7") == 7

    asyncio.run(main())


def test_who_hangs_up_is_not_served_later() -> None:
    async def main() -> None:
        hanging, served = Hanging(), list[None]()
        await hanging.begin(threads.PERSON, 1000, threads.PERSON)
        waiting = asyncio.create_task(threads.call(SECONDS, 1000, served.append, None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await hanging.end()
        assert await threads.call(SECONDS, 1000, int, "7") == 7
        assert served == []

    asyncio.run(main())


def test_a_burst_leaves_few_threads() -> None:
    together = threading.Barrier(2 * threads.IDLE)

    async def main() -> None:
        calls = (
            threads.call(SECONDS, ROOT, together.wait, SECONDS) for _ in range(together.parties)
        )
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
from keyservice.access.conversation import STRANGERS
asyncio.run(threads.call(0.1, 0, threading.Event().wait))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=CHECKOUT, capture_output=True, timeout=10, check=False
    )
    assert b"LookUpLate" in done.stderr
