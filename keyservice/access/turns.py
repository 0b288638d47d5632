# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One session at a time has a ukey's PIN; the others wait in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

#: Seconds that a ukey may work before its person is told that it does.
SLOW = 1.5

_T = TypeVar("_T")
_Tell = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Turns:
    """The queues, by serial. A queue exists only while somebody waits in it or has the ukey."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._seconds: dict[str, float] = {}

    @asynccontextmanager
    async def of(self, serial: str, tell_waiting: _Tell) -> AsyncIterator[bool]:
        """Have the ukey `serial` alone; yields whether somebody else had it first.

        If so, `tell_waiting` is called before the wait.
        """
        queue = self._queues.setdefault(serial, _Queue())
        # The lock cannot tell: it is free for a moment between one waiting session and the next.
        waited = queue.length > 0
        queue.length += 1
        try:
            if waited:
                await tell_waiting()
            async with queue.lock:
                yield waited
        finally:
            queue.length -= 1
            if queue.length == 0:
                del self._queues[serial]

    def took(self, serial: str, seconds: float) -> None:
        """The ukey has judged a PIN, and took so many seconds."""
        self._seconds[serial] = seconds

    def seconds(self, serial: str) -> float:
        """Seconds that the ukey took to judge a PIN the last time; 0 if it never did."""
        return self._seconds.get(serial, 0.0)


async def unbroken(work: Coroutine[Any, Any, _T], tell_slow: _Tell, *, lasting: bool = False) -> _T:
    """Run `work` to its end, even if this session is cancelled or out of time meanwhile.

    For a PIN on its way to a ukey: an attacker who could hang up before a wrong one is counted
    would guess unseen, and without being slowed down. An error of `work` is told in any case;
    its success only if it is `lasting`, such as a changed PIN. `work` has a deadline of its own.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    timeout: float | None = SLOW
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=timeout)
            if timeout is not None and not task.done():
                timeout = None
                await tell_slow()
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None and not lasting:
        raise cancelled
    return result
