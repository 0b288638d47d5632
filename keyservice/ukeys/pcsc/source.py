# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The service's side of pcscd: the watcher's process, and a worker's for each reader."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from keyservice.core import fips
from keyservice.core.errors import PcscdAbsent, UkeyError, UkeyFailed
from keyservice.core.text import plain
from keyservice.ukeys.child import Child
from keyservice.ukeys.endings import Ending
from keyservice.ukeys.fields import WireError
from keyservice.ukeys.source import Listener, Operator, Seen

from .reports import parse_readers

log = logging.getLogger(__name__)

#: Seconds before a watcher that has ended is started again: the first for one that ended by a bug,
#: or sooner than this; the second for one that could not be confined, as the next cannot be either.
_WATCHER_DELAY = 1.0
_UNCONFINED_DELAY = 60.0


class Pcsc:
    """See :class:`keyservice.ukeys.source.Source`."""

    name = "pcscd"

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._watcher: Child | None = None
        self._started = 0.0  #: when the watcher was
        self._seen: Seen = lambda _: None
        self._stopped = False

    def start(self, seen: Seen) -> None:
        self._seen = seen
        self._watch()

    def stop(self) -> None:
        self._stopped = True
        if self._watcher is not None:
            self._watcher.kill()

    async def wait(self) -> None:
        if self._watcher is not None:
            await self._watcher.wait()

    def open(self, reader: str, listener: Listener) -> Operator:
        def ended(status: int) -> None:
            error, bug = _told(reader, status)
            listener.ended(error, bug=bug)

        return Child("worker", reader, on_message=listener.answered, on_end=ended)

    def _watch(self) -> None:
        if self._stopped:
            return
        self._started = self._now()
        try:
            self._watcher = Child("watcher", on_message=self._heard, on_end=self._unwatched)
        except OSError as error:
            log.error("no watcher: %s", error.strerror)
            self._watch_later(_WATCHER_DELAY)

    def _unwatched(self, status: int) -> None:
        """The watcher has ended by itself. Its last report may still be true."""
        self._watcher = None
        match status:
            case Ending.NO_PCSCD:
                lived = self._now() - self._started
                self._watch_later(0 if lived > _WATCHER_DELAY else _WATCHER_DELAY)
            case Ending.UNCONFINED:
                log.error("the watcher of readers cannot be confined: no ukey can be used")
                self._watch_later(_UNCONFINED_DELAY)
            case _:
                log.error("the watcher of readers ended; starting another")
                self._watch_later(_WATCHER_DELAY)

    def _watch_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._watch)

    def _heard(self, message: bytearray) -> None:
        """The watcher has something to say."""
        try:
            readers = parse_readers(message)
        except WireError as error:
            log.error("watcher of readers: %s", error)
            if self._watcher is not None:
                self._watcher.kill()
                self._watcher = None
            self._watch_later(_WATCHER_DELAY)
            return
        self._seen(readers)


def _told(reader: str, status: int) -> tuple[UkeyError, bool]:
    """What a worker's end means for a request, and whether it is a bug's; it is logged too."""
    match status:
        case Ending.NO_PCSCD:
            log.info("device worker of %s lost pcscd", plain(reader))
            return PcscdAbsent("pcscd is not there", reader=reader), False
        case Ending.UNCONFINED:
            log.error("device worker of %s cannot be confined", plain(reader))
            return UkeyFailed("A device worker cannot be confined", reader=reader), False
        case Ending.UNPREPARED:
            lacking = fips.lacking(*fips.missing() or ("SM4",))
            log.error("device worker of %s: %s", plain(reader), lacking)
            return lacking, False
        case _:
            log.error("device worker of %s ended", plain(reader))
            return UkeyFailed("The device worker ended", reader=reader), True
