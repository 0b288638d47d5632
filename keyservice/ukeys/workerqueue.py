# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The queue before one reader: requests in turn, each with its deadline, and a worker to do them.

A PC/SC call can block for as long as a stranger holds a transaction. Then the running request
fails at its deadline, and its worker is killed; the next request finds a new worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from keyservice.core.errors import UkeyError, UkeyFailed, UkeyMute
from keyservice.core.secret import wipe
from keyservice.core.text import plain

from .fields import WireError
from .source import Listener, Operator
from .wire import Answer, parse_answer

log = logging.getLogger(__name__)

#: A worker that ended by itself sooner than this, in seconds, is not started again before it is
#: needed: the same cause might end the next one too, at once and for ever.
_STEADY = 1.0

T = TypeVar("T")


class _Job:
    """One request: its message, its deadline, and the future for what is made of the answer."""

    def __init__(
        self,
        message: bytearray,
        take: Callable[[Answer], Any],
        note: Callable[[Answer], None],
        future: asyncio.Future[Any],
        more: float,
    ) -> None:
        self.message = message
        self.take, self.note = take, note
        self.future = future
        self.more = more
        self.timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class WorkerQueue:
    """One reader's worker and what is waiting for it. Lives on the event loop's thread."""

    def __init__(
        self,
        reader: str,
        open_reader: Callable[[str, Listener], Operator],
        operation_deadline: float,
        monotonic: Callable[[], float],
    ) -> None:
        """`operation_deadline` is in seconds, without queueing. `open_reader` is the source's."""
        self.reader = reader
        self._open = open_reader
        self._limit = operation_deadline
        self._now = monotonic
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Job] = deque()
        self._idle: deque[_Job] = deque()  #: those that wait until nobody else does
        self._current: _Job | None = None
        self._worker: Operator | None = None
        self._started = 0.0
        self._retired: set[asyncio.Task[None]] = set()
        self._start()

    def submit(
        self,
        message: bytearray,
        deadline: float,
        take: Callable[[Answer], T],
        note: Callable[[Answer], None] = lambda _: None,
        *,
        more: float = 0.0,
        idle: bool = False,
    ) -> asyncio.Future[T]:
        """Have `message` done before `deadline` (monotonic); it is wiped, whatever happens.
        `more`: seconds that it may take beside what any operation may. `idle`: it begins only when
        no other request waits.

        Every answer is shown to `note`, and one that succeeded to `take`, even when nobody waits
        any more. The future holds what `take` makes of it. The future raises the answer's error,
        :class:`UkeyMute`, or :class:`UkeyFailed` where the worker broke or `take` raised
        :class:`WireError`.
        """
        job = _Job(message, take, note, self._loop.create_future(), more)
        job.future.add_done_callback(lambda _: self._let_go(job))
        left = deadline - self._now()
        if left <= 0:
            job.future.set_exception(self._late())
            return job.future
        job.timer = self._loop.call_later(left, self._expire, job)
        (self._idle if idle else self._queue).append(job)
        self._pump()
        return job.future

    async def close(self, error: UkeyError) -> None:
        """End the worker; what is waiting fails with `error`."""
        jobs = [*self._queue, *self._idle, *([self._current] if self._current else [])]
        self._queue.clear()
        self._idle.clear()
        self._current = None
        self._retire()
        for job in jobs:
            job.stop_timer()
            _fail(job, error)
        await asyncio.gather(*self._retired)

    def _let_go(self, job: _Job) -> None:
        """Nobody waits for `job` any more. Whatever the cause, no PIN in it outlives the wait. A
        worker that is busy with it keeps its deadline: the others are waiting."""
        wipe(job.message)
        if job is not self._current:
            job.stop_timer()

    def _taken(self) -> _Job | None:
        """Take the job that was under way: from now on none is."""
        job, self._current = self._current, None
        if job is not None:
            job.stop_timer()
        return job

    def _pump(self) -> None:
        """Send the next request, unless one is under way."""
        while self._current is None and (waiting := self._queue or self._idle):
            job = waiting.popleft()
            if job.future.done():  # its caller went away while it was waiting
                continue
            if self._worker is None:
                self._start()
            if self._worker is None:
                _fail(job, UkeyFailed("No device worker can be started", reader=self.reader))
                continue
            self._current = job
            assert job.timer is not None
            limit = self._limit + job.more
            if job.timer.when() > self._loop.time() + limit:
                job.timer.cancel()
                job.timer = self._loop.call_later(limit, self._expire, job)
            self._worker.send(job.message)
            wipe(job.message)

    def answered(self, message: bytearray) -> None:
        job = self._taken()
        try:
            if job is None:
                raise WireError("an answer that nobody asked for")
            answer = parse_answer(message, self.reader)
            job.note(answer)
            result = job.take(answer) if answer.error is None else None
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
            (self._queue if job in self._queue else self._idle).remove(job)
        _fail(job, self._late())
        self._pump()

    def ended(self, error: UkeyError, *, bug: bool) -> None:
        """The worker has ended by itself; its request fails with `error`."""
        job = self._taken()
        if bug and self._now() - self._started > _STEADY:
            self._restart()
        else:
            self._retire()
        if job is not None:
            _fail(job, error)
        self._pump()

    def _restart(self) -> None:
        self._retire()
        self._start()

    def _start(self) -> None:
        self._started = self._now()
        try:
            self._worker = self._open(self.reader, self)
        except OSError as error:
            log.error("no device worker for %s: %s", plain(self.reader), error.strerror)

    def _retire(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            task = self._loop.create_task(worker.wait())
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    def _late(self) -> UkeyMute:
        return UkeyMute(reader=self.reader)


def _fail(job: _Job, error: UkeyError) -> None:
    if not job.future.done():
        job.future.set_exception(error)
