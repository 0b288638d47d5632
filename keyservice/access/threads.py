# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Blocking calls that may hang (a name service, a disk), each with a deadline.

A thread cannot be killed: one that hangs is left behind, as a daemon so that the service still
ends, and no more than ``LIMIT`` are ever left.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from keyservice.core.errors import DeadlinePassed

LIMIT = 64

_P = ParamSpec("_P")
_T = TypeVar("_T")
_running = threading.BoundedSemaphore(LIMIT)


async def call(
    seconds: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """``function(*args, **kwargs)`` in a thread of its own.

    Raises what it raises, or :class:`DeadlinePassed` after `seconds`, or at once when ``LIMIT``
    earlier calls hang still.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()
    if not _running.acquire(blocking=False):
        raise DeadlinePassed("Too many earlier look-ups have not come back yet")

    def settle(result: _T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failure = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            failure = error
        finally:
            _running.release()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, daemon=True, name=f"call-{function.__qualname__}").start()
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await outcome
    except TimeoutError:
        raise DeadlinePassed("A look-up on this host did not come back") from None
