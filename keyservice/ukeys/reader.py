# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One reader as the service knows it: its card is found out by probing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, repeat

from keyservice.core.errors import UkeyAbsent, UkeyError, UkeyHeld, UkeyMute, UkeyUnknown
from keyservice.core.reasons import Reason
from keyservice.core.text import plain
from keyservice.crypto.key import PublicKey
from keyservice.transport.state import ReaderState

from . import kinds
from .base import KeyRef, KeyUse, PinState, UkeyInfo
from .examination import Examination
from .kind import Values
from .operations import EXAMINE, PROBE
from .quirks import choose
from .settings import ReaderSettings, is_virtual
from .source import Source
from .wire import Answer, build_request
from .workerqueue import WorkerQueue

log = logging.getLogger(__name__)

#: Seconds between probes of a ukey that does not tell its serial yet: some need about one.
_SERIAL_DELAYS = (0.1, 0.2, 0.4, 0.6, 0.8)
#: Seconds between probes of a card that failed (a stranger may hold it), the last one repeated.
_PROBE_DELAYS = (0.2, 0.4, 0.8, 2.0, 5.0, 15.0, 60.0)


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """A reader, and what is in it."""

    reader: str
    card_present: bool
    info: UkeyInfo | None  #: None where the card is no ukey, or has not answered
    pin: PinState | None  #: the user PIN's, as last seen
    refused: bool  #: by the configuration; such a reader is never touched
    virtual: bool


@dataclass(frozen=True, slots=True)
class ReaderEvent:
    """A card came or went. `info` is None where it is not known as a ukey."""

    reader: str
    inserted: bool
    info: UkeyInfo | None


@dataclass(frozen=True, slots=True)
class Examined:
    """A reader, and what came of the examination of its card; None if that was not touched."""

    status: ReaderStatus
    result: Examination | UkeyError | None


class Reader:
    """A reader, from its arrival to its removal."""

    def __init__(
        self,
        reader: str,
        source: Source,
        settings: ReaderSettings,
        monotonic: Callable[[], float],
        on_event: Callable[[ReaderEvent], None],
    ) -> None:
        """`on_event` is called when a card has been probed, and when one was taken out."""
        self.virtual = is_virtual(reader)
        self.refused = settings.refuses(reader)
        self.present = False
        self.info: UkeyInfo | None = None
        #: Why it is not known what the card is, where another program may be the cause.
        self.held: Reason | None = None
        self.ended: UkeyError | None = None  #: why the reader has gone
        #: The settings that the configuration has for the ukey.
        self.values: Values = {}
        #: The ukey's answers that are not asked for again: keys by place, PINs by application.
        self.keys: dict[KeyRef, PublicKey] = {}
        self.pins: dict[str, PinState] = {}
        self.uses: dict[KeyRef, KeyUse] = {}
        #: The way to the reader, None where the reader is refused.
        self.queue: WorkerQueue | None = None
        if not self.refused:
            self.queue = WorkerQueue(reader, source.open, settings.operation_deadline, monotonic)
        self._reader = reader
        self._settings = settings
        self._now = monotonic
        self._on_event = on_event
        self._events: int | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probed = False  #: the first probe has ended, somehow
        self._told = False  #: somebody was told that a card is in
        self._hurry = asyncio.Event()

    @property
    def unsettled(self) -> bool:
        """Whether a card is there of which nothing is known yet."""
        return self._probe is not None and not self._probed

    def presence(self) -> ReaderStatus:
        pin = next(iter(self.pins.values()), None)
        reader = plain(self._reader)
        return ReaderStatus(reader, self.present, self.info, pin, self.refused, self.virtual)

    def update(self, seen: ReaderState) -> None:
        """Take in what the watcher has seen."""
        if (seen.present, seen.events) == (self.present, self._events):
            return
        self.present, self._events = seen.present, seen.events
        self._forget()
        if self.present and self.queue is not None:
            self._start_probe(self.queue)

    def doubt(self, info: UkeyInfo) -> None:
        """The ukey was not there when it was used. pcscd may have missed that it went, or that
        another one came: so the card is asked again what it is."""
        if self.info is info and self.queue is not None:
            self._forget()
            self._start_probe(self.queue)

    def probe_again(self) -> None:
        """Probe a card that has failed now, rather than later: somebody is waiting for it."""
        self._hurry.set()

    async def examine(self, deadline: float) -> Examination | None:
        """Have each kind look at the card; None if there is none, or it may not be touched.

        Raises what keeps them from it before `deadline` (monotonic).
        """
        if self.queue is None or not self.present:
            return None
        limit = min(deadline, self._now() + self._settings.operation_deadline)
        message = build_request(EXAMINE)
        return await self.queue.submit(message, limit, lambda answer: answer.take(EXAMINE))

    async def close(self, error: UkeyError) -> None:
        """The reader has gone, or the service ends; what is under way fails with `error`."""
        self.present, self.ended = False, error
        self._forget()
        if self.queue is not None:
            await self.queue.close(error)

    def _forget(self) -> None:
        """Forget what was known of the card."""
        info, told = self.info, self._told
        self.info, self.held, self._told, self._probed = None, None, False, False
        self.keys.clear()
        self.pins.clear()
        self.uses.clear()
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if told:
            self._on_event(ReaderEvent(plain(self._reader), False, info))

    def _start_probe(self, queue: WorkerQueue) -> None:
        self._probe = asyncio.get_running_loop().create_task(self._probing(queue))

    async def _probing(self, queue: WorkerQueue) -> None:
        """Ask what is in the reader, until it is known."""
        serial_delays = iter(_SERIAL_DELAYS)
        probe_delays = chain(_PROBE_DELAYS, repeat(_PROBE_DELAYS[-1]))
        while True:
            try:
                info = await self._ask(queue)
                if info.serial:
                    break
                delay = next(serial_delays, None)
                if delay is None:
                    raise UkeyUnknown("The ukey tells no serial", reader=info.reader)
            except UkeyUnknown as error:
                log.info("%s", error)
                info = None
                break
            except UkeyError as error:
                if isinstance(error, UkeyAbsent):  # the watcher will report that, or the next card
                    self._probed = True
                else:
                    log.warning("probe: %s", error)
                    self.held = _holding(error)
                    self._settle(None)
                delay = next(probe_delays)
            await self._pause(delay)
        self._probe, self.held = None, None
        self._settle(info)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _ask(self, queue: WorkerQueue) -> UkeyInfo:
        def take(answer: Answer) -> UkeyInfo:
            info = answer.take(PROBE)
            return replace(info, reader=plain(self._reader), virtual=self.virtual)

        limit = self._now() + self._settings.operation_deadline
        return await queue.submit(build_request(PROBE, values=self._kind), limit, take)

    @property
    def _kind(self) -> Values:
        """Of what kind the card may be: this is asked before its maker and its serial are known."""
        values = choose(self._settings.quirks, plain(self._reader), "", "")
        return {kinds.KIND: values.get(kinds.KIND, kinds.ANY)}

    def _settle(self, info: UkeyInfo | None) -> None:
        told, self._probed, self._told, self.info = self._told, True, True, info
        if info is not None:
            rules = self._settings.quirks
            chosen = choose(rules, info.reader, info.manufacturer, info.serial)
            self.values = {**chosen, **self._kind}
        if info is not None or not told:
            self._on_event(ReaderEvent(plain(self._reader), True, info))


def _holding(error: UkeyError) -> Reason | None:
    """The reason where another program may be why a card was not asked what it is."""
    if isinstance(error, UkeyHeld):
        return Reason.READER_HELD
    return Reason.READER_MUTE if isinstance(error, UkeyMute) else None
