# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls that may hang (a name service, a disk), each with a deadline.

A thread cannot be killed: one that hangs is left behind, as a daemon so that the service still
ends, and no more than ``LIMIT`` are ever left; a call too many waits until another one comes back.
Half of the threads are only for root's own programs, such as login and sshd, and a quarter of the
other half is the most that one person has: whoever knows of a name that makes the name service
hang, and gives it to su again and again, is in nobody else's way. A thread that comes back waits
for its next call, since a login would spend a tenth of its time on starting threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from keyservice.core.errors import LookUpLate

LIMIT = 64
#: Of these, what is done for people at a time, and for one of them.
PEOPLE, PERSON = 32, 8
#: Threads that wait for a call; what a burst of logins started beyond them ends.
IDLE = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def call(
    seconds: float,
    person: int | None,
    function: Callable[_P, _T],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> _T:
    """``function(*args, **kwargs)`` in another thread, for `person` (``Caller.person``).

    Raises what it raises, or :class:`LookUpLate` after `seconds`, in which it may not even have
    begun where earlier calls hang still.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def tell(result: _T, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    work = _Call(person, partial(function, *args, **kwargs), tell)
    _pool.do(work)
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await outcome
    except TimeoutError:
        if _pool.withdraw(work):
            raise LookUpLate("Too many earlier look-ups have not come back yet") from None
        raise LookUpLate() from None
    finally:
        _pool.withdraw(work)


@dataclass(eq=False, slots=True)
class _Call:
    """What is to be done, for whom, and who is told its result or what it raised."""

    person: int | None
    function: Callable[[], Any]
    tell: Callable[[Any, BaseException | None], None]


class _Pool:
    """The threads, and what waits for one: nothing that might have one now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[int | None] = Counter()  #: calls, by person
        self._waiting: deque[_Call] = deque()
        self._idle: deque[SimpleQueue[_Call]] = deque()

    def do(self, call: _Call) -> None:
        """Have `call` done, now or when others have come back."""
        with self._lock:
            if self._fits(call):
                self._hand_over(call)
                self._running[call.person] += 1
            else:
                self._waiting.append(call)

    def withdraw(self, call: _Call) -> bool:
        """Nobody waits for `call` any more. Whether it has not begun; it never will."""
        with self._lock, suppress(ValueError):
            self._waiting.remove(call)
            return True
        return False

    def _fits(self, call: _Call) -> bool:
        total = self._running.total()
        if call.person == 0:
            return total < LIMIT
        of_people = total - self._running[0]
        return total < LIMIT and of_people < PEOPLE and self._running[call.person] < PERSON

    def _hand_over(self, call: _Call) -> None:
        """Have a thread do `call`: one that waits, or else a new one."""
        if self._idle:
            calls = self._idle.pop()
        else:
            calls = SimpleQueue()
            threading.Thread(target=self._serve, args=(calls,), daemon=True, name="call").start()
        calls.put(call)

    def _serve(self, calls: SimpleQueue[_Call]) -> None:
        """A thread's life: one call after the other, for as long as it is kept."""
        call: _Call | None = calls.get()
        while call is not None:
            result, failure = None, None
            try:
                result = call.function()
            except BaseException as error:
                failure = error
            done, (call, kept) = call, self._next(call, calls)
            done.tell(result, failure)
            del done, result, failure
            if call is None and kept:
                call = calls.get()

    def _next(self, done: _Call, calls: SimpleQueue[_Call]) -> tuple[_Call | None, bool]:
        """What the thread does after `done`: a call that waits; or else whether it is kept."""
        with self._lock:
            self._running[done.person] -= 1
            if not self._running[done.person]:
                del self._running[done.person]
            # Not more than one of them: it takes the place that this one leaves.
            for waiting in self._waiting:
                if self._fits(waiting):
                    self._waiting.remove(waiting)
                    self._running[waiting.person] += 1
                    return waiting, True
            kept = len(self._idle) < IDLE
            if kept:
                self._idle.append(calls)
            return None, kept


_pool = _Pool()
