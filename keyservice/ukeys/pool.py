# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All ukeys of the host: which are there, and how to reach each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

from keyservice.core.errors import (
    PcscdAbsent,
    ReaderAbsent,
    ReaderRefused,
    SerialTwice,
    UkeyAbsent,
    UkeyError,
    UkeyHeld,
)
from keyservice.core.text import plain
from keyservice.transport.state import ReaderState

from .handle import UkeyHandle
from .reader import Examined, Reader, ReaderEvent, ReaderStatus
from .settings import ReaderSettings
from .source import Source
from .sources import SOURCES

__all__ = ["Examined", "ReaderEvent", "ReaderStatus", "UkeyHandle", "Ukeys"]

log = logging.getLogger(__name__)

#: Seconds that :meth:`Ukeys.settled` waits for a source, or for a card that does not say what it
#: is: a ukey says it within two and a half. So a mute card delays people whose ukey is not there.
_SETTLE_MAX = 3.0
#: Seconds that killed processes are waited for.
_STOP_MAX = 5.0


class Ukeys:
    """The readers and ukeys of this host. One per service; lives on its event loop's thread."""

    def __init__(
        self,
        settings: ReaderSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sources: Sequence[Callable[[Callable[[], float]], Source]] = SOURCES,
    ) -> None:
        self._settings = settings
        self._now = monotonic
        #: None while it is not known whether a source is there, True or False after that.
        self._there: dict[Source, bool | None] = {make(monotonic): None for make in sources}
        self._readers: dict[tuple[Source, str], Reader] = {}
        self._callbacks: list[Callable[[ReaderEvent], None]] = []
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Have the sources look; what they find comes later (:meth:`settled`)."""
        for source in self._there:
            source.start(partial(self._saw, source))

    async def stop(self) -> None:
        """End all child processes, and what waits for them with :class:`ReaderAbsent`."""
        self._callbacks.clear()
        for source in self._there:
            source.stop()  # first: what it sees from now on would start workers again
        self._lose_readers(set(self._readers), ReaderAbsent("The service is stopping"))
        with suppress(TimeoutError):  # the kernel has the signal; a process can be late to end
            async with asyncio.timeout(_STOP_MAX):
                await asyncio.gather(*self._closing)
                await asyncio.gather(*(source.wait() for source in self._there))

    def present(self) -> list[ReaderStatus]:
        """All readers, in the order of their names, and what is in them."""
        return [
            reader.presence()
            for (_, _), reader in sorted(self._readers.items(), key=lambda item: item[0][1])
        ]

    def subscribe(self, callback: Callable[[ReaderEvent], None]) -> Callable[[], None]:
        """Have `callback` called at each insertion and removal; the result ends that."""
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return unsubscribe

    async def settled(self, deadline: float, *serials: str) -> None:
        """Wait until the readers are known and their cards have been asked what they are.

        With `serials`, wait only until one of these ukeys is there: other readers do not concern
        their owner. Waits until `deadline` (monotonic) at most, and at most 3 s.
        """
        end = min(deadline, self._now() + _SETTLE_MAX)
        with suppress(TimeoutError):
            async with asyncio.timeout(end - self._now()):
                while self._looking or self._unsettled(serials):
                    await self._changed.wait()

    @property
    def _looking(self) -> bool:
        return None in self._there.values()

    def check_there(self) -> None:
        """Raise :class:`ReaderAbsent` where no source is there, or none has said so yet."""
        if not any(self._there.values()):
            missing = ", ".join(source.name for source in self._there)
            raise PcscdAbsent(f"{missing} is not running")

    def _unsettled(self, serials: Collection[str]) -> bool:
        readers = self._readers.values()
        if any(each.info is not None and each.info.serial in serials for each in readers):
            return False
        return any(each.unsettled for each in readers)

    def find(self, serial: str) -> UkeyHandle:
        """The one ukey with this serial.

        Raises :class:`ReaderAbsent` where pcscd is not there, :class:`SerialTwice` where several
        claim the serial; where none does, :class:`UkeyHeld` if a card could not be asked what it
        is, since another program may hold it, :class:`ReaderRefused` if a card is in a reader that
        the configuration refuses, :class:`UkeyAbsent` otherwise. Before it raises one of these
        three, cards that failed when they were asked what they are get asked again: an answer comes
        as a reader event.
        """
        self.check_there()
        found = self.claiming(serial)
        if len(found) > 1:
            readers = sorted(each.info.reader for each in found)
            raise SerialTwice(serial=serial, readers=", ".join(readers))
        if found:
            return found[0]
        for reader in self._readers.values():
            reader.probe_again()
        self.check_not_held(serial)
        for reader in self._readers.values():
            if reader.refused and reader.present:
                raise ReaderRefused(reader=reader.presence().reader)
        raise UkeyAbsent(serial=serial)

    async def examine(self, deadline: float) -> list[Examined]:
        """What each reader's card answers to each kind, all readers at once."""
        readers = [reader for _, reader in sorted(self._readers.items(), key=lambda it: it[0][1])]
        found = await asyncio.gather(
            *(reader.examine(deadline) for reader in readers), return_exceptions=True
        )
        rows = []
        for reader, result in zip(readers, found, strict=True):
            if isinstance(result, BaseException) and not isinstance(result, UkeyError):
                raise result
            rows.append(Examined(reader.presence(), result))
        return rows

    def claiming(self, serial: str) -> list[UkeyHandle]:
        """All present ukeys that claim the serial, in any reader."""
        return [
            UkeyHandle(reader, reader.info)
            for reader in self._readers.values()
            if reader.info is not None and reader.info.serial == serial
        ]

    def check_not_held(self, serial: str = "") -> None:
        """Raise :class:`UkeyHeld` if there is a card that could not be asked what it is, since
        another program may hold it."""
        for reader in self._readers.values():
            if reader.held is not None:
                facts = {"serial": serial} if serial else {}
                raise UkeyHeld(reader=reader.presence().reader, why=reader.held, **facts)

    def _saw(self, source: Source, states: Sequence[ReaderState] | None) -> None:
        """A source has something to say."""
        if states is None and self._there[source] is not False:
            log.warning("%s is not there", source.name)
        self._there[source] = states is not None
        now = {(source, state.name) for state in states or ()}
        before = {each for each in self._readers if each[0] is source}
        for key in before - now:
            gone = ReaderAbsent("The reader is gone", reader=plain(key[1]))
            self._lose_readers({key}, PcscdAbsent() if states is None else gone)
        for state in states or ():
            key = source, state.name
            if key not in self._readers:
                self._readers[key] = Reader(
                    state.name, source, self._settings, self._now, self._happened
                )
            self._readers[key].update(state)
        self._wake()

    def _lose_readers(self, keys: set[tuple[Source, str]], error: UkeyError) -> None:
        for key in keys:
            task = asyncio.get_running_loop().create_task(self._readers.pop(key).close(error))
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
