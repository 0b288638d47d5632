# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls that may hang (a name service, a disk), each with a deadline.

A thread cannot be killed: one that hangs is left behind. It is a daemon, so the service can still
end. No more than ``LIMIT`` are ever left; a further call waits until another one comes back.

People have half of the threads, and one person has at most a quarter of that half. So a person who
knows a name that makes the name service hang, and gives it to su again and again, delays nobody
else. Nor does a stranger who gives it to sshd: sshd has a quarter of all threads, and the last
quarter is left to logins at the machine and to the service itself. A thread that comes back waits
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

from .conversation import STRANGERS

LIMIT = 64
#: The threads that work for people at a time, and for one of them.
PEOPLE, PERSON = 32, 8
#: And those for strangers, who begin root's programs.
SYSTEM = 16
#: Threads that wait for a call; the further ones that a burst of logins started end.
IDLE = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def call(
    seconds: float,
    originator: int | None,
    function: Callable[_P, _T],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> _T:
    """``function(*args, **kwargs)`` in another thread, for `originator` (``originator_uid``).

    Raises what it raises, or :class:`LookUpLate` after `seconds`. It may not even have begun then,
    if earlier calls still hang.
    """
    return await _call(seconds, originator, partial(function, *args, **kwargs), None)


async def write(
    seconds: float,
    originator: int | None,
    late: Callable[[BaseException | None], None],
    function: Callable[_P, None],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> None:
    """As :func:`call`, for a call that changes something even if nobody waits for it any more.

    In that case `late` is called on the event loop once it is done, with what it raised.
    """
    await _call(seconds, originator, partial(function, *args, **kwargs), late)


async def _call(
    seconds: float,
    originator: int | None,
    function: Callable[[], _T],
    late: Callable[[BaseException | None], None] | None,
) -> _T:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T, error: BaseException | None) -> None:
        if outcome.done():
            if late is not None:
                late(error)
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def tell(result: _T, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    work = _Call(originator, function, tell)
    _pool.do(work)
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            try:
                return await outcome
            except asyncio.CancelledError:
                if late is not None and outcome.done() and not outcome.cancelled():
                    late(outcome.exception())  # both at once: nobody will be told
                raise
    except TimeoutError:
        if _pool.withdraw(work):
            raise LookUpLate("Too many earlier look-ups have not come back yet") from None
        raise LookUpLate() from None
    finally:
        _pool.withdraw(work)


@dataclass(eq=False, slots=True)
class _Call:
    """A call, the person it is for, and the future for its result or what it raised."""

    originator: int | None
    function: Callable[[], Any]
    tell: Callable[[Any, BaseException | None], None]


class _Pool:
    """The threads, and the calls that wait for one: no call waits that may have one now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[int | None] = Counter()  #: calls, by originator
        self._waiting: deque[_Call] = deque()
        self._idle: deque[SimpleQueue[_Call]] = deque()

    def do(self, call: _Call) -> None:
        """Have `call` done, now or when others have come back."""
        with self._lock:
            if self._fits(call):
                self._hand_over(call)
                self._running[call.originator] += 1
            else:
                self._waiting.append(call)

    def withdraw(self, call: _Call) -> bool:
        """Nobody waits for `call` any more. True if it has not begun; then it never will."""
        with self._lock:
            waits = call in self._waiting
            if waits:  # remove() alone would spell out the call in the error that nobody reads
                self._waiting.remove(call)
            return waits

    def _fits(self, call: _Call) -> bool:
        total, mine = self._running.total(), self._running[call.originator]
        if call.originator == 0:
            return total < LIMIT
        if call.originator == STRANGERS:
            return total < LIMIT and mine < SYSTEM
        of_people = total - self._running[0] - self._running[STRANGERS]
        return total < LIMIT and of_people < PEOPLE and mine < PERSON

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
        """What the thread does after `done`: a waiting call; if none waits, whether it is kept."""
        with self._lock:
            self._running[done.originator] -= 1
            if not self._running[done.originator]:
                del self._running[done.originator]
            # At most one of them: it takes the place that this one leaves.
            for waiting in self._waiting:
                if self._fits(waiting):
                    self._waiting.remove(waiting)
                    self._running[waiting.originator] += 1
                    return waiting, True
            kept = len(self._idle) < IDLE
            if kept:
                self._idle.append(calls)
            return None, kept


_pool = _Pool()
