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
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

from keyservice.core.errors import ChangeLate, LookUpLate

#: Stands for a person when strangers begin the work of root's program: every login by sshd.
STRANGERS = -1
LIMIT = 64
#: The threads that work for people at a time, and for one of them.
PEOPLE, PERSON = 32, 8
#: And those for strangers, who begin root's programs.
SYSTEM = 16
#: Threads that wait for a call; the further ones that a burst of logins started end.
IDLE = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")
#: Told what a call raised, on the event loop, if it ended when nobody waited for it any more.
Late = Callable[[BaseException | None], None]
#: (what was returned, what was raised), on the event loop.
_Settle = Callable[[Any, BaseException | None], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a call may take: whose threads, and how much time."""

    originator: int | None  #: the person it is for (``originator_uid``); 0, STRANGERS
    seconds: float
    late: Late | None = None  #: for a call that changes something


async def call(
    budget: Budget, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """``function(*args, **kwargs)`` in another thread, within `budget`.

    Raises what it raises, or :class:`LookUpLate` when the time is up. It has not even begun then,
    if earlier calls still hang. A change that has begun raises :class:`ChangeLate`.
    """
    return await _call(budget, partial(function, *args, **kwargs), None)


class Series:
    """Calls of which one runs at a time: one that hangs leaves one thread behind, whatever follows.

    The others wait on the event loop, until their time is up. They all work for the service
    itself, whoever asks: one that had to wait for somebody's threads would keep out the next.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def call(
        self, budget: Budget, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As the function :func:`call`, after all that were asked for before."""
        now = asyncio.get_running_loop().time
        end = now() + budget.seconds
        try:
            async with asyncio.timeout_at(end):
                await self._turn.acquire()
        except TimeoutError:
            raise LookUpLate("An earlier change has not come back yet") from None
        own = replace(budget, originator=0, seconds=end - now())
        return await _call(own, partial(function, *args, **kwargs), self._turn.release)


class Shared(Generic[_T]):
    """One call for all who ask before it begins; then the next one, for all who asked since.

    A call that hangs leaves one thread behind, however many ask. It works for the service itself.
    """

    def __init__(self, prepare: Callable[[], Callable[[], _T]]) -> None:
        """`prepare` returns the call; it is called on the event loop, just before that begins."""
        self._prepare = prepare
        self._running: asyncio.Future[_T] | None = None
        self._next: asyncio.Future[_T] | None = None
        self._since = 0.0

    def running(self) -> float:
        """Seconds for which the present call has run; 0 where none does."""
        if self._running is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._since

    def ask(self) -> asyncio.Future[_T]:
        """The outcome of a call that begins from now on, whether anybody waits for it or not."""
        outcome = self._next
        if outcome is None:
            outcome = self._next = asyncio.get_running_loop().create_future()
            outcome.add_done_callback(_retrieved)
        if self._running is None:
            self._begin()
        return outcome

    async def call(self, seconds: float) -> _T:
        """The same, waited for. Raises what it raises, or :class:`LookUpLate` after `seconds`."""
        outcome = self.ask()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await asyncio.shield(outcome)
        except TimeoutError:
            raise LookUpLate() from None

    def _begin(self) -> None:
        self._running, self._next = self._next, None
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        try:
            _submit(0, self._prepare(), self._settle)
        except Exception as error:  # for those who asked; the next call is another
            settle: _Settle = self._settle
            loop.call_soon(settle, None, error)

    def _settle(self, result: _T, error: BaseException | None) -> None:
        outcome, self._running = self._running, None
        if outcome is not None:
            _tell(outcome, result, error)
        if self._next is not None:
            self._begin()


async def _call(budget: Budget, function: Callable[[], _T], over: Callable[[], None] | None) -> _T:
    """`over` is called on the event loop once no thread is, or ever will be, at work on it."""
    if budget.seconds <= 0:  # nothing is begun that nobody can wait for
        if over is not None:
            over()
        raise LookUpLate()
    outcome: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def settle(result: _T, error: BaseException | None) -> None:
        if over is not None:
            over()
        if not outcome.done():
            _tell(outcome, result, error)
        elif budget.late is not None:
            budget.late(error)

    def withdraw() -> bool:
        withdrawn = _pool.withdraw(work)
        if withdrawn and over is not None:
            over()
        return withdrawn

    try:
        work = _submit(budget.originator, function, settle)
    except LookUpLate:
        if over is not None:
            over()
        raise
    try:
        async with asyncio.timeout(budget.seconds):
            try:
                return await outcome
            except asyncio.CancelledError:
                if budget.late is not None and outcome.done() and not outcome.cancelled():
                    budget.late(outcome.exception())  # both at once: nobody will be told
                raise
    except TimeoutError:
        if withdraw():
            raise LookUpLate("Too many earlier look-ups have not come back yet") from None
        raise (LookUpLate if budget.late is None else ChangeLate)() from None
    finally:
        withdraw()


def _submit(originator: int | None, function: Callable[[], Any], settle: _Settle) -> _Call:
    """Have `function` called in another thread; `settle` is told once it came back.

    Raises :class:`LookUpLate`, and `settle` is told nothing, if this host starts no further thread.
    """
    loop = asyncio.get_running_loop()

    def tell(result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    work = _Call(originator, function, tell)
    _pool.do(work)
    return work


def _tell(outcome: asyncio.Future[_T], result: _T, error: BaseException | None) -> None:
    if error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def _retrieved(outcome: asyncio.Future[Any]) -> None:
    """Nobody has to wait for it."""
    if not outcome.cancelled():
        outcome.exception()


@dataclass(eq=False, slots=True)
class _Call:
    """A call, the person it is for, and what is told its result, or what it raised."""

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
        """Have `call` done, now or when others have come back. Raises :class:`LookUpLate` if this
        host starts no further thread: a fork bomb leaves none to anybody."""
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
            thread = threading.Thread(target=self._serve, args=(calls,), daemon=True, name="call")
            try:
                thread.start()
            except RuntimeError:
                raise LookUpLate("This host starts no further thread") from None
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
