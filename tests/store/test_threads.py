# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls: each has its deadline, none delays another, and threads are used again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from keyservice.core import threads
from keyservice.core.errors import DeadlinePassed, LookUpLate
from keyservice.core.threads import STRANGERS, Budget
from tests.support import CHECKOUT

SECONDS = 10.0
ROOT = 0


def test_what_is_returned_or_raised_comes_back() -> None:
    def fail() -> None:
        raise LookupError("no such name")

    async def main() -> None:
        assert await threads.call(Budget(ROOT, SECONDS), int, "2a", base=16) == 42
        with pytest.raises(LookupError, match="no such name"):
            await threads.call(Budget(ROOT, SECONDS), fail)

    asyncio.run(main())


def test_a_thread_that_came_back_is_used_again() -> None:
    async def main() -> set[int]:
        return {await threads.call(Budget(ROOT, SECONDS), threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(main())) == 1


def test_a_call_that_hangs_costs_itself_its_deadline_and_others_nothing() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(DeadlinePassed):
            await threads.call(Budget(ROOT, 0.05), release.wait, SECONDS)
        assert await threads.call(Budget(ROOT, SECONDS), int, "7") == 7
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
            work = threads.call(Budget(person, SECONDS), self._hang)
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
            await threads.call(Budget(ROOT, 0.05), int, "7")
        waiting = asyncio.create_task(threads.call(Budget(ROOT, SECONDS), int, "7"))
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
            others = (threads.call(Budget(ROOT, SECONDS), int, "7") for _ in range(threads.LIMIT))
            assert await asyncio.gather(*others) == [7] * threads.LIMIT
        await hanging.end()

    asyncio.run(main())


def test_what_hangs_for_people_and_strangers_at_once_leaves_threads_to_consoles() -> None:
    async def main() -> None:
        hanging = Hanging()
        await hanging.begin(2 * threads.LIMIT, STRANGERS, threads.SYSTEM)
        for person in (1000, 1001, 1002, 1003):
            await hanging.begin(threads.LIMIT, person, threads.PERSON)
        assert await threads.call(Budget(ROOT, SECONDS), int, "7") == 7
        await hanging.end()

    asyncio.run(main())


def test_what_hangs_for_one_person_is_not_in_anothers_way() -> None:
    async def main() -> None:
        hanging = Hanging()
        await hanging.begin(threads.LIMIT, 1000, threads.PERSON)
        assert await threads.call(Budget(1001, SECONDS), int, "7") == 7
        with pytest.raises(DeadlinePassed, match="earlier"):
            await threads.call(Budget(1000, 0.05), int, "7")
        await hanging.end()
        assert await threads.call(Budget(1000, SECONDS), int, "7") == 7

    asyncio.run(main())


def test_who_hangs_up_is_not_served_later() -> None:
    async def main() -> None:
        hanging, served = Hanging(), list[None]()
        await hanging.begin(threads.PERSON, 1000, threads.PERSON)
        waiting = asyncio.create_task(threads.call(Budget(1000, SECONDS), served.append, None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await hanging.end()
        assert await threads.call(Budget(1000, SECONDS), int, "7") == 7
        assert served == []

    asyncio.run(main())


def test_a_burst_leaves_few_threads() -> None:
    together = threading.Barrier(2 * threads.IDLE)

    async def main() -> None:
        calls = (
            threads.call(Budget(ROOT, SECONDS), together.wait, SECONDS)
            for _ in range(together.parties)
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
from keyservice.core import threads
from keyservice.core.threads import Budget
asyncio.run(threads.call(Budget(0, 0.1), threading.Event().wait))
"""
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=CHECKOUT, capture_output=True, timeout=10, check=False
    )
    assert b"LookUpLate" in done.stderr


# -- changes one after the other, and one look for many


class Gate:
    """A call that hangs until it is opened, and counts how often it began."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Semaphore(0), threading.Event()
        self.calls = list[object]()

    def __call__(self, what: object = None) -> int:
        self.calls.append(what)
        self.begun.release()
        assert self.open.wait(SECONDS)
        return len(self.calls)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=SECONDS)


def test_one_change_that_hangs_leaves_one_thread_behind_whatever_follows() -> None:
    gate = Gate()

    async def main() -> None:
        series, late = threads.Series(), list[BaseException | None]()
        with pytest.raises(DeadlinePassed):
            await series.call(Budget(ROOT, 0.05, late.append), gate, "first")
        with pytest.raises(DeadlinePassed, match="earlier"):
            await series.call(Budget(ROOT, 0.05, late.append), gate, "never begun")
        for _ in range(threads.LIMIT):
            with pytest.raises(DeadlinePassed):
                await series.call(Budget(ROOT, 0.001), gate, "never begun")
        assert await threads.call(Budget(ROOT, SECONDS), int, "7") == 7
        waiting = asyncio.create_task(series.call(Budget(ROOT, SECONDS), gate, "second"))
        await asyncio.sleep(0)
        gate.open.set()
        assert await waiting == 2
        assert late == [None]
        assert gate.calls == ["first", "second"]

    asyncio.run(main())


def test_a_change_that_is_given_up_before_its_turn_lets_the_next_one_have_it() -> None:
    gate = Gate()

    async def main() -> None:
        series = threads.Series()
        first = asyncio.create_task(series.call(Budget(ROOT, SECONDS), gate, "first"))
        await gate.has_begun()
        second = asyncio.create_task(series.call(Budget(ROOT, SECONDS), gate, "second"))
        third = asyncio.create_task(series.call(Budget(ROOT, SECONDS), gate, "third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        gate.open.set()
        assert (await first, await third) == (1, 2)
        with pytest.raises(DeadlinePassed):
            await series.call(Budget(ROOT, 0.0), gate, "no time")
        assert await series.call(Budget(ROOT, SECONDS), gate, "fourth") == 3
        assert gate.calls == ["first", "third", "fourth"]

    asyncio.run(main())


def test_a_change_waits_for_no_threads_of_those_who_hang() -> None:
    async def main() -> None:
        hanging, series = Hanging(), threads.Series()
        await hanging.begin(threads.LIMIT, STRANGERS, threads.SYSTEM)
        assert await series.call(Budget(STRANGERS, SECONDS), int, "7") == 7
        await hanging.end()

    asyncio.run(main())


def test_a_change_that_found_no_thread_lets_the_next_one_have_its_turn() -> None:
    async def main() -> None:
        hanging, series = Hanging(), threads.Series()
        await hanging.begin(threads.LIMIT, ROOT, threads.LIMIT)
        with pytest.raises(DeadlinePassed, match="earlier"):
            await series.call(Budget(ROOT, 0.05), int, "7")
        await hanging.end()
        assert await series.call(Budget(ROOT, SECONDS), int, "7") == 7

    asyncio.run(main())


def test_all_who_ask_at_once_share_one_look() -> None:
    gate = Gate()

    async def main() -> None:
        shared = threads.Shared(lambda: gate)
        assert shared.running() == 0.0
        first = asyncio.create_task(shared.call(SECONDS))
        await gate.has_begun()
        others = [asyncio.create_task(shared.call(SECONDS)) for _ in range(100)]
        await asyncio.sleep(0.001)
        assert shared.running() > 0.0
        others[0].cancel()
        gate.open.set()
        assert await first == 1
        assert set(await asyncio.gather(*others[1:])) == {2}  # which began after they had asked
        assert shared.running() == 0.0

    asyncio.run(main())


def test_a_look_that_hangs_leaves_one_thread_behind_and_is_over_for_all_at_their_deadlines() -> (
    None
):
    gate = Gate()

    async def main() -> None:
        shared = threads.Shared(lambda: gate)
        for _ in range(3):
            with pytest.raises(DeadlinePassed):
                await shared.call(0.02)
        assert len(gate.calls) == 1
        gate.open.set()
        assert await shared.call(SECONDS) >= 2

    asyncio.run(main())


def test_a_look_that_fails_fails_for_all_and_the_next_one_is_another() -> None:
    errors = [LookupError("gone"), LookupError("gone again")]

    def look() -> int:
        if errors:
            raise errors.pop(0)
        return 3

    async def main() -> None:
        shared = threads.Shared(lambda: look)
        both = await asyncio.gather(*(shared.call(SECONDS) for _ in "ab"), return_exceptions=True)
        assert [str(each) for each in both] == ["gone", "gone again"]
        assert await shared.call(SECONDS) == 3

    asyncio.run(main())


class NoThread(threading.Thread):
    """A thread of a host that starts no further one, as with a fork bomb on it."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_started_costs_its_call_and_none_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_pool", threads._Pool())  # no thread waits for a call
    series, shared = threads.Series(), threads.Shared(lambda: lambda: 7)

    async def ask() -> tuple[int | BaseException, ...]:
        return await asyncio.gather(
            threads.call(Budget(ROOT, 1.0), int, "7"),
            series.call(Budget(ROOT, 1.0), int, "7"),
            shared.call(1.0),
            return_exceptions=True,
        )

    async def main() -> None:
        with monkeypatch.context() as host:
            host.setattr(threading, "Thread", NoThread)
            for _ in range(2):
                failed = await ask()
                assert [type(each) for each in failed] == [LookUpLate] * 3
                assert all("no further thread" in str(each) for each in failed)
        assert list(await ask()) == [7, 7, 7]

    asyncio.run(main())
