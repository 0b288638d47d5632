# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls that may hang (a name service, a disk), each with a deadline.

A thread cannot be killed: one that hangs is left behind, as a daemon so that the service still
ends, and no more than ``LIMIT`` are ever left. One that comes back waits for its next call, since
a login would spend a tenth of its time on starting threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from keyservice.core.errors import DeadlinePassed

LIMIT = 64
#: Threads that wait for a call; what a burst of logins started beyond them ends.
IDLE = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")
#: A function, and who is told its result or what it raised.
_Call = tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]

_running = threading.BoundedSemaphore(LIMIT)
_idle: deque[SimpleQueue[_Call]] = deque()
_counting = threading.Lock()


async def call(
    seconds: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """``function(*args, **kwargs)`` in another thread.

    Raises what it raises, or :class:`DeadlinePassed` after `seconds`, or at once when ``LIMIT``
    earlier calls hang still.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()
    if not _running.acquire(blocking=False):
        raise DeadlinePassed("Too many earlier look-ups have not come back yet")

    def settle(result: _T, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def tell(result: _T, error: BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    _hand_over((partial(function, *args, **kwargs), tell))
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await outcome
    except TimeoutError:
        raise DeadlinePassed("A look-up on this host did not come back") from None


def _hand_over(work: _Call) -> None:
    """Have a thread do `work`: one that waits, or else a new one."""
    try:
        calls = _idle.pop()
    except IndexError:
        calls = SimpleQueue()
        threading.Thread(target=_serve, args=(calls,), daemon=True, name="call").start()
    calls.put(work)


def _serve(calls: SimpleQueue[_Call]) -> None:
    """A thread's life: one call after the other, for as long as it is kept."""
    kept = True
    while kept:
        function, tell = calls.get()
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:
            failure = error
        _running.release()
        with _counting:
            kept = len(_idle) < IDLE
            if kept:
                _idle.append(calls)
        tell(result, failure)
        del function, tell, result, failure
