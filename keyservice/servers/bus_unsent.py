# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Messages that the bus has not taken from us yet.

A bus keeps the messages that a caller does not read. When they have reached its limit, it takes
nothing more from their sender: that is the service, though a stranger asked for them. So the number
of messages that wait here has a limit, and so has the time that they wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

#: Messages that may wait: as many as calls that may wait for their reply.
MOST = 1024
#: Seconds after which we leave a bus that has taken no message. It takes one within milliseconds.
PATIENCE = 5.0


class Unsent:
    def __init__(self, stuck: Callable[[], None]) -> None:
        """`stuck` is called when the bus has taken nothing for ``PATIENCE``."""
        self._stuck = stuck
        self._waiting: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether only messages that we owe may still be added."""
        return len(self._waiting) >= MOST

    def add(self, sent: asyncio.Future[Any]) -> None:
        """Add a message; `sent` is done when the bus has taken it."""
        if sent.done():
            self._seen(sent)
            return
        self._waiting.add(sent)
        sent.add_done_callback(self._taken)
        if self._timer is None:
            self._start()

    def close(self) -> None:
        """The bus is left: nothing is waited for any more."""
        self._stop()
        for sent in self._waiting:
            sent.remove_done_callback(self._taken)
        self._waiting.clear()

    def _taken(self, sent: asyncio.Future[Any]) -> None:
        self._waiting.discard(sent)
        self._seen(sent)
        self._stop()
        if self._waiting:
            self._start()

    @staticmethod
    def _seen(sent: asyncio.Future[Any]) -> None:
        """A message that could not be sent is lost with the bus; that is noticed elsewhere."""
        if not sent.cancelled():
            sent.exception()

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._stuck)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
