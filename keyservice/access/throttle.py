# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Pauses after wrong PINs, for each PIN of each ukey, kept across restarts.

A PIN is counted as wrong before it is sent. A right one clears the count, and nothing else does.
The outcome of a PIN is not always known: the caller's deadline ends first, the answer makes no
sense, the ukey is pulled out, the service is killed. Then it stays counted, until the tries that
the ukey has left are read again and show that none was spent.

Time is CLOCK_BOOTTIME: no change of the wall clock shortens a pause. After a reboot, when nobody
can tell how long the machine was off, a pause that ran starts again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from keyservice.core.errors import RecordDamaged, Throttled, UkeyError
from keyservice.store.throttle import ANY, Failures, PinName, Sent, ThrottleFile
from keyservice.ukeys.base import PinState

from .saving import WRITE_SECONDS, Saving
from .settings import Rules

#: Applications of a ukey that have a count of their own. The ukey chooses their number and names:
#: all further ones share one count, so that no ukey fills the file that has all ukeys' counts.
NAMES = 16

_log = logging.getLogger(__name__)
_NONE = Failures(0, 0.0)
_T = TypeVar("_T")


def boottime() -> float:
    """Seconds since the boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


@dataclass(frozen=True, slots=True)
class _State:
    """What is written."""

    failures: Mapping[PinName, Failures] | None  #: None where the file has them
    sent: Mapping[PinName, Sent]
    change: int  #: the number of the last change of the failures


class Throttle:
    """Counts wrong PINs. The counts in memory are valid; the files are for the next start.

    Where a method writes, it waits for the disk as :meth:`Saving.save` does, for so many `seconds`
    at most.
    """

    def __init__(
        self,
        file: ThrottleFile,
        rules: Rules,
        *,
        boot: str,
        now: Callable[[], float] = boottime,
    ) -> None:
        """Read the files. If one is damaged, every ukey pauses once, as if just throttled."""
        self._file, self._rules, self._boot, self._now = file, rules, boot, now
        self._saving = Saving(self._write, self._newest, _not_written)
        self._change = self._written = 0
        self._everybody = 0.0
        written, self._failures = self._read(file.load)
        sent_in, sent = self._read(file.load_sent)
        if written != boot:
            self._failures = {
                pin: Failures(entry.count, self._pause_from_now(entry.count))
                for pin, entry in self._failures.items()
            }
        if sent_in != boot:
            sent = {
                pin: Sent(entry.left, self._pause_from_now(self._of(pin).count + 1))
                for pin, entry in sent.items()
            }
        self._on_their_way: dict[PinName, Sent] = {}
        self._unknown = sent  #: their outcomes

    def _read(
        self, load: Callable[[], tuple[str, dict[PinName, _T]]]
    ) -> tuple[str, dict[PinName, _T]]:
        try:
            return load()
        except RecordDamaged as error:
            seconds = self._rules.throttle_seconds
            _log.error("%s; no PIN is taken for %d s", error, seconds)
            self._everybody = self._now() + seconds
            return self._boot, {}

    def pause(self, serial: str) -> int:
        """Seconds for which the ukey takes no user PIN; 0 where it takes one."""
        pins = {*self._failures, *self._unknown}
        return max(
            (self._pause(pin) for pin in pins if pin.serial == serial and not pin.admin),
            default=self._left(self._everybody),
        )

    def counts(self, serial: str) -> bool:
        """Whether wrong PINs of the ukey are remembered."""
        return any(pin.serial == serial for pin in (*self._failures, *self._unknown))

    def check(self, pin: PinName) -> None:
        """Raise :class:`Throttled` while the PIN pauses. Facts: serial, seconds."""
        pin = self._counted_as(pin)
        seconds = self._pause(pin)
        if seconds:
            raise Throttled(serial=pin.serial, seconds=seconds)

    # -- one PIN that is sent, by one session at a time

    async def count(self, pin: PinName, left: int | None, seconds: float = WRITE_SECONDS) -> None:
        """A PIN is about to be sent; `left` are the tries before it, if known.

        One of :meth:`passed`, :meth:`failed`, :meth:`withheld` and :meth:`lost` must follow.
        """
        pin = self._counted_as(pin)
        until = self._pause_from_now(self._of(pin).count + 1)
        self._on_their_way[pin] = Sent(left, until)
        await self._saving.save(seconds)

    async def passed(self, pin: PinName, seconds: float = WRITE_SECONDS) -> None:
        """It was right, and that is proven."""
        pin = self._counted_as(pin)
        self._on_their_way.pop(pin, None)
        self._unknown.pop(pin, None)
        if self._of(pin) != _NONE and pin.application != ANY:
            if PinName(pin.serial, ANY, pin.admin) in self._failures:
                self._failures[pin] = _NONE  # not those of the other applications
            else:
                del self._failures[pin]
            self._change += 1
        await self._saving.save(seconds)

    async def failed(self, pin: PinName, seconds: float = WRITE_SECONDS) -> None:
        """It was wrong."""
        pin = self._counted_as(pin)
        self._on_their_way.pop(pin, None)
        self._unknown.pop(pin, None)
        count = self._of(pin).count + 1
        self._failures[pin] = Failures(count, self._pause_from_now(count))
        self._change += 1
        await self._saving.save(seconds)

    async def withheld(self, pin: PinName, seconds: float = WRITE_SECONDS) -> None:
        """It was not sent after all."""
        self._on_their_way.pop(self._counted_as(pin), None)
        await self._saving.save(seconds)

    def lost(self, pin: PinName) -> None:
        """Its outcome is not known. It was counted, and so it stays in the file."""
        pin = self._counted_as(pin)
        self._unknown[pin] = self._on_their_way.pop(pin)

    # -- afterwards

    def unknown(self, pin: PinName) -> Sent | None:
        """The last PIN, if its outcome is not known: for :meth:`settle`."""
        return self._unknown.get(self._counted_as(pin))

    async def settle(
        self, pin: PinName, sent: Sent, state: PinState, seconds: float = WRITE_SECONDS
    ) -> None:
        """`state` was read after :meth:`unknown` had returned `sent`: it shows if a try was spent.

        If the tries before it are not known, none was spent if all are left.
        """
        pin = self._counted_as(pin)
        if self._unknown.get(pin) is not sent:
            return  # settled meanwhile; a PIN that was sent later is another one
        del self._unknown[pin]
        before = state.maximum if sent.left is None else sent.left
        if state.left < before:
            self._failures[pin] = Failures(self._of(pin).count + 1, sent.until)
            self._change += 1
        await self._saving.save(seconds)

    async def reset(self, serial: str) -> None:
        """Root says that all of the ukey's pauses are over."""
        self._failures = _without(self._failures, serial)
        self._unknown = _without(self._unknown, serial)
        self._change += 1
        await self._saving.save()

    # --

    def _counted_as(self, pin: PinName) -> PinName:
        """`pin`, or the name that all further PINs of its ukey are counted under."""
        beyond = PinName(pin.serial, ANY, pin.admin)
        known = {*self._failures, *self._unknown, *self._on_their_way}
        if pin in known:
            return pin
        if beyond in self._on_their_way:  # one PIN of a ukey is at a time
            return beyond
        names = sum((each.serial, each.admin) == (pin.serial, pin.admin) for each in known)
        return pin if names < NAMES else beyond

    def _of(self, pin: PinName) -> Failures:
        """The failures of `pin`, or of its ukey if those were counted by serial only."""
        by_serial = self._failures.get(PinName(pin.serial, ANY, pin.admin), _NONE)
        return self._failures.get(pin, by_serial)

    def _pause(self, pin: PinName) -> int:
        sent = self._unknown.get(pin)
        until = max(self._everybody, self._of(pin).until, sent.until if sent else 0.0)
        return self._left(until)

    def _left(self, until: float) -> int:
        return max(0, math.ceil(until - self._now()))

    def _pause_from_now(self, count: int) -> float:
        over = count - self._rules.throttle_after
        if over < 0:
            return 0.0
        seconds = self._rules.throttle_seconds << min(over, 16)
        return self._now() + min(seconds, self._rules.throttle_longest)

    def _newest(self) -> _State:
        known = self._change == self._written
        sent = {**self._unknown, **self._on_their_way}
        return _State(None if known else dict(self._failures), sent, self._change)

    def _write(self, state: _State) -> None:
        """In a thread. A PIN is among the wrong ones on the disk before it goes from the others."""
        try:
            if state.failures is not None:
                self._file.save(self._boot, state.failures)
                self._written = state.change
        finally:
            self._file.save_sent(self._boot, state.sent)


def _not_written(error: UkeyError) -> None:
    _log.error("%s; the pauses are kept in memory only", error)


def _without(pins: Mapping[PinName, _T], serial: str) -> dict[PinName, _T]:
    return {pin: entry for pin, entry in pins.items() if pin.serial != serial}
