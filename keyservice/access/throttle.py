# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Pauses after wrong PINs, per ukey, kept across restarts.

Time is CLOCK_BOOTTIME: no change of the wall clock shortens a pause. After a reboot, when nobody
can tell how long the machine was off, a pause that ran is served anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from keyservice.core.errors import RecordDamaged, StoreFailed, Throttled
from keyservice.store.throttle import Failures, ThrottleFile

from .settings import Rules

_log = logging.getLogger(__name__)


def boottime() -> float:
    """Seconds since the boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class Throttle:
    """Counts wrong PINs. What is in memory counts; the file is for the next start."""

    def __init__(
        self,
        file: ThrottleFile,
        rules: Rules,
        *,
        boot: str,
        now: Callable[[], float] = boottime,
    ) -> None:
        """Read the file. Where it is damaged, every ukey pauses once, as if just throttled."""
        self._file, self._rules, self._boot, self._now = file, rules, boot, now
        self._saving = asyncio.Lock()
        self._everybody = 0.0
        try:
            written, self._failures = file.load()
        except RecordDamaged as error:
            _log.error("%s; no PIN is taken for %d s", error, rules.throttle_seconds)
            written, self._failures = boot, {}
            self._everybody = now() + rules.throttle_seconds
        if written != boot:
            self._failures = {
                serial: Failures(entry.count, self._pause_from_now(entry.count))
                for serial, entry in self._failures.items()
            }

    def pause(self, serial: str) -> int:
        """Seconds for which the ukey takes no PIN; 0 where it takes one."""
        entry = self._failures.get(serial)
        until = max(self._everybody, entry.until if entry else 0.0)
        return max(0, math.ceil(until - self._now()))

    def counts(self, serial: str) -> bool:
        """Whether wrong PINs of the ukey are remembered."""
        return serial in self._failures

    def check(self, serial: str) -> None:
        """Raise :class:`Throttled` while the ukey pauses. Facts: serial, seconds."""
        seconds = self.pause(serial)
        if seconds:
            raise Throttled(serial=serial, seconds=seconds)

    async def failed(self, serial: str) -> None:
        """A PIN was wrong."""
        entry = self._failures.get(serial)
        count = entry.count + 1 if entry else 1
        self._failures[serial] = Failures(count, self._pause_from_now(count))
        await self._save()

    async def passed(self, serial: str) -> None:
        """A PIN was right, or root says so. Costs nothing where nothing was wrong before."""
        if self._failures.pop(serial, None) is not None:
            await self._save()

    def _pause_from_now(self, count: int) -> float:
        over = count - self._rules.throttle_after
        if over < 0:
            return 0.0
        seconds = self._rules.throttle_seconds << min(over, 16)
        return self._now() + min(seconds, self._rules.throttle_longest)

    async def _save(self) -> None:
        async with self._saving:
            snapshot = dict(self._failures)
            try:
                await asyncio.to_thread(self._file.save, self._boot, snapshot)
            except (StoreFailed, RecordDamaged) as error:
                _log.error("%s; the pauses are kept in memory only", error)
