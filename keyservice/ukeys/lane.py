# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The queue before one reader: requests in turn, each with its deadline, and a worker to do them.

A PC/SC call can block for as long as a stranger holds a transaction. Then the request that runs
costs its deadline and the worker its life; the next request finds a new worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from keyservice.core.errors import UkeyError, UkeyFailed, UkeyMute
from keyservice.core.secret import wipe

from .child import Child
from .fields import WireError
from .text import plain
from .wire import Answer, parse_answer

log = logging.getLogger(__name__)

#: A worker that ended by itself sooner than this, in seconds, is not started again before it is
#: needed: whatever ended it might end the next one too, at once and for ever.
_STEADY = 1.0

T = TypeVar("T")


class _Job:
    """One request: its message, its deadline, and who waits for what is made of the answer."""

    def __init__(
        self, message: bytearray, take: Callable[[Answer], Any], future: asyncio.Future[Any]
    ) -> None:
        self.message = message
        self.take = take
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        # however it ends, a PIN in it does not outlive the wait for it
        future.add_done_callback(lambda _: self.forget())

    def forget(self) -> None:
        wipe(self.message)
        if self.timer is not None:
            self.timer.cancel()


class Lane:
    """One reader's worker and what is waiting for it. Lives on the event loop's thread."""

    def __init__(
        self, reader: str, operation_deadline: float, monotonic: Callable[[], float]
    ) -> None:
        """`operation_deadline` is in seconds, without queueing."""
        self.reader = reader
        self._limit = operation_deadline
        self._now = monotonic
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Job] = deque()
        self._current: _Job | None = None
        self._child: Child | None = None
        self._started = 0.0
        self._retired: set[asyncio.Task[None]] = set()
        self._start()

    def submit(
        self, message: bytearray, deadline: float, take: Callable[[Answer], T]
    ) -> asyncio.Future[T]:
        """Have `message` done before `deadline` (monotonic); it is wiped, whatever comes.

        The future holds what `take` makes of the answer, which it is shown even when nobody waits
        any more. The future raises the answer's error, :class:`UkeyMute`, or
        :class:`UkeyFailed` where the worker broke or `take` raised :class:`WireError`.
        """
        job = _Job(message, take, self._loop.create_future())
        left = deadline - self._now()
        if left <= 0:
            job.future.set_exception(self._late())
            return job.future
        job.timer = self._loop.call_later(left, self._expire, job)
        self._queue.append(job)
        self._pump()
        return job.future

    async def close(self, error: UkeyError) -> None:
        """End the worker; what is waiting fails with `error`."""
        jobs = [*self._queue, *([self._current] if self._current else [])]
        self._queue.clear()
        self._current = None
        self._retire()
        for job in jobs:
            _fail(job, error)
        await asyncio.gather(*self._retired)

    def _pump(self) -> None:
        """Send the next request, unless one is under way."""
        while self._current is None and self._queue:
            job = self._queue.popleft()
            if job.future.done():  # its caller went away while it was waiting
                continue
            if self._child is None:
                self._start()
            if self._child is None:
                _fail(job, UkeyFailed("No device worker can be started", reader=self.reader))
                continue
            self._current = job
            assert job.timer is not None
            if job.timer.when() > self._loop.time() + self._limit:
                job.timer.cancel()
                job.timer = self._loop.call_later(self._limit, self._expire, job)
            self._child.send(job.message)
            wipe(job.message)

    def _answered(self, message: bytearray) -> None:
        job, self._current = self._current, None
        try:
            if job is None:
                raise WireError("an answer that nobody asked for")
            answer = parse_answer(message, self.reader)
            result = job.take(answer)
        except WireError as error:
            log.error("device worker of %s: %s", plain(self.reader), error)
            self._restart()
            if job is not None:
                _fail(job, UkeyFailed("The device worker broke", reader=self.reader))
        else:
            if answer.error is not None:
                _fail(job, answer.error)
            elif not job.future.done():
                job.future.set_result(result)
        self._pump()

    def _expire(self, job: _Job) -> None:
        """`job` has not been answered in time."""
        if job is self._current:
            log.warning("device worker of %s missed a deadline", plain(self.reader))
            self._current = None
            self._restart()
        else:
            self._queue.remove(job)
        _fail(job, self._late())
        self._pump()

    def _crashed(self) -> None:
        """The worker has ended by itself."""
        log.error("device worker of %s ended", plain(self.reader))
        job, self._current = self._current, None
        if self._now() - self._started > _STEADY:
            self._restart()
        else:
            self._retire()
        if job is not None:
            _fail(job, UkeyFailed("The device worker ended", reader=self.reader))
        self._pump()

    def _restart(self) -> None:
        self._retire()
        self._start()

    def _start(self) -> None:
        self._started = self._now()
        try:
            self._child = Child(
                "worker",
                self.reader,
                on_message=self._answered,
                on_end=self._crashed,
            )
        except OSError as error:
            log.error("no device worker for %s: %s", plain(self.reader), error.strerror)

    def _retire(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            task = self._loop.create_task(child.wait())
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    def _late(self) -> UkeyMute:
        return UkeyMute(reader=self.reader)


def _fail(job: _Job, error: UkeyError) -> None:
    if not job.future.done():
        job.future.set_exception(error)
