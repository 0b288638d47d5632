# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All ukeys of the host: who is there, and the way to each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from keyservice.core.errors import ReaderAbsent, ReaderRefused, UkeyAbsent, UkeyAmbiguous, UkeyError

from .child import Child
from .fields import WireError
from .handle import UkeyHandle
from .reports import parse_readers
from .settings import ReaderSettings
from .slot import Presence, ReaderEvent, Slot

__all__ = ["Presence", "ReaderEvent", "UkeyHandle", "Ukeys"]

log = logging.getLogger(__name__)

#: Seconds that :meth:`Ukeys.settled` waits for a card that does not say what it is: a ukey says it
#: within two and a half, and another reader's login need not wait for a card that never does.
_SETTLE_MAX = 3.0
#: Seconds that killed processes are waited for.
_STOP_MAX = 5.0
#: Seconds before a watcher that has ended is started again.
_WATCHER_DELAY = 1.0


class Ukeys:
    """The readers and ukeys of this host. One per service; lives on its event loop's thread."""

    def __init__(
        self, settings: ReaderSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now = monotonic
        self._watcher: Child | None = None
        #: None while it is not known whether pcscd is there, True or False after that.
        self._pcscd: bool | None = None
        self._slots: dict[str, Slot] = {}
        self._callbacks: list[Callable[[ReaderEvent], None]] = []
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Start the watcher; what it finds comes later (:meth:`settled`)."""
        self._watch()

    async def stop(self) -> None:
        """End all child processes, and what waits for them with :class:`ReaderAbsent`."""
        self._stopped = True
        self._callbacks.clear()
        watcher, self._watcher = self._watcher, None
        self._lose_readers(set(self._slots), ReaderAbsent("The service is stopping"))
        with suppress(TimeoutError):  # the kernel has been told; a process can be late to hear
            async with asyncio.timeout(_STOP_MAX):
                await asyncio.gather(*self._closing)
                if watcher is not None:
                    watcher.kill()
                    await watcher.wait()

    def present(self) -> list[Presence]:
        """All readers, in the order of their names, and what is in them."""
        return [slot.presence() for _, slot in sorted(self._slots.items())]

    def subscribe(self, callback: Callable[[ReaderEvent], None]) -> Callable[[], None]:
        """Have `callback` called at each insertion and removal; the result ends that."""
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return unsubscribe

    async def settled(self, deadline: float) -> None:
        """Until the readers are known and their cards have been asked what they are.

        Waits until `deadline` (monotonic) at most, and for cards at most 3 s. Raises
        :class:`ReaderAbsent` where pcscd is not there.
        """
        end = min(deadline, self._now() + _SETTLE_MAX)
        with suppress(TimeoutError):
            async with asyncio.timeout(end - self._now()):
                while self._pcscd is None or any(s.unsettled for s in self._slots.values()):
                    await self._changed.wait()
        if not self._pcscd:
            raise ReaderAbsent("pcscd is not running")

    def find(self, serial: str) -> UkeyHandle:
        """The one ukey with this serial.

        Raises :class:`ReaderAbsent` where pcscd is not there, :class:`UkeyAmbiguous` where several
        claim the serial, :class:`ReaderRefused` where none does but a card is in a reader that the
        configuration refuses, :class:`UkeyAbsent` otherwise. Before these two, cards that failed
        when they were asked what they are get asked again: an answer comes as a reader event.
        """
        if not self._pcscd:
            raise ReaderAbsent("pcscd is not running")
        found = [
            UkeyHandle(slot, slot.info)
            for slot in self._slots.values()
            if slot.info is not None and slot.info.serial == serial
        ]
        if len(found) > 1:
            raise UkeyAmbiguous(serial=serial)
        if found:
            return found[0]
        for slot in self._slots.values():
            slot.probe_again()
        for slot in self._slots.values():
            if slot.refused and slot.present:
                raise ReaderRefused(reader=slot.presence().reader)
        raise UkeyAbsent(serial=serial)

    def _watch(self) -> None:
        if self._stopped:
            return
        try:
            self._watcher = Child("watcher", on_message=self._seen, on_end=self._unwatched)
        except OSError as error:
            log.error("no watcher: %s", error.strerror)
            self._unwatched()

    def _unwatched(self) -> None:
        """The watcher has ended by itself. What it saw last may be so still."""
        log.error("the watcher of readers ended; starting another")
        self._watcher = None
        asyncio.get_running_loop().call_later(_WATCHER_DELAY, self._watch)

    def _seen(self, message: bytearray) -> None:
        """The watcher has something to say."""
        try:
            readers = parse_readers(message)
        except WireError as error:
            log.error("watcher of readers: %s", error)
            if self._watcher is not None:
                self._watcher.kill()
            self._unwatched()
            return
        if readers is None and self._pcscd is not False:
            log.warning("pcscd is not there")
        self._pcscd = readers is not None
        names = {reader.name for reader in readers or ()}
        self._lose_readers(set(self._slots) - names, ReaderAbsent("The reader is gone"))
        for reader in readers or ():
            if reader.name not in self._slots:
                self._slots[reader.name] = Slot(
                    reader.name, self._settings, self._now, self._happened
                )
            self._slots[reader.name].update(reader)
        self._wake()

    def _lose_readers(self, names: set[str], error: UkeyError) -> None:
        for name in names:
            task = asyncio.get_running_loop().create_task(self._slots.pop(name).close(error))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _happened(self, event: ReaderEvent) -> None:
        for callback in tuple(self._callbacks):
            try:
                callback(event)
            except Exception:
                log.exception("a subscriber of reader events failed")
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
