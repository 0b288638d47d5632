# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A double of pcscd as ``smartcard.scard`` shows it: readers, and cards that come and go at once.

The codes are those that pcsc-lite 1.9.9 was seen to give (tests/transport/test_pcscd.py asks the
real one). There is one difference: here a pulled card is noticed at once, so a command after it
meets ``SCARD_W_REMOVED_CARD``; the real one says ``SCARD_E_NOT_TRANSACTED`` until its next poll.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from smartcard import scard

from tests.softkey.link import ATR
from tests.softkey.misbehave import Reply

OK: int = scard.SCARD_S_SUCCESS
_GONE: int = scard.SCARD_W_REMOVED_CARD
_PNP = r"\\?PnP?\Notification"


class Killed(BaseException):
    """The process that made this call is dead: it does nothing more."""


class Process:
    """The process whose threads call, as the kernel and pcscd know it."""

    def __init__(self) -> None:
        self.dead = False


class Card(Protocol):
    """A card that tests put into a reader."""

    def reset(self) -> None: ...
    def transmit(self, apdu: bytes, inserted_at: float) -> Reply: ...


@dataclass(eq=False)
class _Reader:
    name: str
    card: Card | None = None
    events: int = 0  #: insertions and removals
    inserted_at: float = 0.0
    busy_until: float = 0.0  #: the card answers then, monotonic, though its caller may be dead
    handles: list[_Handle] = field(default_factory=list)
    holder: _Handle | None = None  #: of a transaction

    @property
    def state(self) -> int:
        present = scard.SCARD_STATE_PRESENT if self.card else scard.SCARD_STATE_EMPTY
        return int(present) | self.events << 16


@dataclass(eq=False)
class _Handle:
    process: Process
    context: int
    reader: _Reader
    events: int  #: the reader's when it was made: it is for that card only
    exclusive: bool
    was_reset: bool = False  #: by another program; its owner does not know yet

    @property
    def stale(self) -> bool:
        return self.events != self.reader.events


class Pcscd:
    """``monkeypatch.setattr(pcsc, "scard", Pcscd(...))``. Constants are the real ones.

    Each call is made by the process that its thread was started in (:meth:`process`), and blocks
    as the real one does: while another program holds a transaction, and while a card says nothing.
    """

    def __init__(self, *readers: str) -> None:
        self._readers = {name: _Reader(name) for name in readers}
        self._runs = True
        self._numbers = iter(range(1, 1 << 30))
        self._contexts: dict[int, Process] = {}
        self._handles: dict[int, _Handle] = {}
        self._changed = threading.Condition(threading.RLock())
        self._threads = threading.local()
        self._others = Process()  #: the test itself, and what it plays

    def __getattr__(self, name: str) -> Any:
        return getattr(scard, name)

    # -- for tests

    def insert(self, reader: str, card: Card) -> None:
        with self._changed:
            place = self._readers[reader]
            assert place.card is None, f"{reader} holds a card"
            card.reset()
            place.card, place.inserted_at = card, time.monotonic()
            self._moved(place)

    def remove(self, reader: str) -> None:
        """Pull the card out; what it was answering is lost."""
        with self._changed:
            place = self._readers[reader]
            if place.card is not None:
                place.card.reset()
                place.card = None
                self._moved(place)

    def card_in(self, reader: str) -> Card | None:
        return self._readers[reader].card

    def is_held(self, reader: str) -> bool:
        """Whether somebody is in a transaction with its card."""
        return self._readers[reader].holder is not None

    def add_reader(self, name: str) -> None:
        """Plug one in, unless it is there."""
        with self._changed:
            self._readers.setdefault(name, _Reader(name))
            self._changed.notify_all()

    def remove_reader(self, name: str) -> None:
        with self._changed:
            self.remove(name)
            del self._readers[name]
            self._changed.notify_all()

    def stop(self) -> None:
        """pcscd dies. Its cards lose their power."""
        with self._changed:
            self._runs = False
            self._contexts.clear()
            self._handles.clear()
            for place in self._readers.values():
                place.handles.clear()
                place.holder = None
                if place.card is not None:
                    place.card.reset()
            self._changed.notify_all()

    def start(self) -> None:
        with self._changed:
            self._runs = True
            self._changed.notify_all()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No card runs a command inside."""
        with self._changed:
            yield

    @contextmanager
    def process(self, process: Process) -> Iterator[None]:
        """This thread's calls inside count as calls of `process`."""
        self._threads.process = process
        try:
            yield
        finally:
            del self._threads.process

    def kill(self, process: Process) -> None:
        """End all its calls. pcscd resets a card that it held, and lets go of its handles."""
        with self._changed:
            process.dead = True
            self._forget(lambda handle: handle.process is process)
            for context in [key for key, owner in self._contexts.items() if owner is process]:
                del self._contexts[context]
            self._changed.notify_all()

    # -- pyscard's calls

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:
        assert scope == scard.SCARD_SCOPE_SYSTEM
        with self._call():
            if not self._runs:
                return scard.SCARD_E_NO_SERVICE, 0
            context = next(self._numbers)
            self._contexts[context] = self._caller
            return OK, context

    def SCardReleaseContext(self, context: int) -> int:
        with self._call():
            self._forget(lambda handle: handle.context == context)
            return OK if self._contexts.pop(context, None) else self._no_context()

    def SCardListReaders(self, context: int, groups: list[str]) -> tuple[int, list[str]]:
        with self._call():
            if context not in self._contexts:
                return self._no_context(), []
            if not self._readers:
                return scard.SCARD_E_NO_READERS_AVAILABLE, []
            return OK, list(self._readers)

    def SCardGetStatusChange(
        self, context: int, timeout: int, states: list[tuple[str, int]]
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        until = math.inf if timeout == scard.INFINITE else time.monotonic() + timeout / 1000
        with self._call():
            while True:
                if context not in self._contexts:
                    return self._no_context(), []
                found = [self._seen(name, known) for name, known in states]
                if any(state & scard.SCARD_STATE_CHANGED for _, state, _ in found):
                    return OK, found
                if time.monotonic() >= until:
                    return scard.SCARD_E_TIMEOUT, found
                self._wait(until)

    def SCardConnect(
        self, context: int, reader: str, share: int, protocols: int
    ) -> tuple[int, int, int]:
        with self._call():
            if context not in self._contexts:
                return self._no_context(), 0, 0
            place = self._readers.get(reader)
            if place is None:
                return scard.SCARD_E_UNKNOWN_READER, 0, 0
            self._await_turn(place, None)
            exclusive = share == scard.SCARD_SHARE_EXCLUSIVE
            if any(handle.exclusive for handle in place.handles) or (exclusive and place.handles):
                return scard.SCARD_E_SHARING_VIOLATION, 0, 0
            if place.card is None:
                return scard.SCARD_E_NO_SMARTCARD, 0, 0
            number = next(self._numbers)
            made = _Handle(self._caller, context, place, place.events, exclusive)
            self._handles[number] = made
            place.handles.append(made)
            return OK, number, scard.SCARD_PROTOCOL_T1

    def SCardReconnect(
        self, card: int, share: int, protocols: int, initialization: int
    ) -> tuple[int, int]:
        with self._call():
            code, handle = self._find(card)
            if handle is None:
                return code, 0
            self._dispose(handle, initialization)
            handle.was_reset = False
            return OK, scard.SCARD_PROTOCOL_T1

    def SCardDisconnect(self, card: int, disposition: int) -> int:
        with self._call():
            handle = self._handles.get(card)
            if handle is None:
                return self._no_context()
            if not handle.stale:
                self._dispose(handle, disposition)
            self._forget(lambda each: each is handle, dying=False)
            return OK

    def SCardBeginTransaction(self, card: int) -> int:
        with self._call():
            code, handle = self._find(card)
            if handle is None:
                return code
            self._await_turn(handle.reader, handle)
            code, handle = self._find(card)
            if handle is not None and handle.was_reset:
                return int(scard.SCARD_W_RESET_CARD)
            if handle is not None:
                handle.reader.holder = handle
            return code

    def SCardEndTransaction(self, card: int, disposition: int) -> int:
        with self._call():
            code, handle = self._find(card)
            if handle is None:
                return code
            assert handle.reader.holder is handle, "ends a transaction that it has not begun"
            self._dispose(handle, disposition)
            handle.was_reset = disposition == scard.SCARD_RESET_CARD
            handle.reader.holder = None
            self._changed.notify_all()
            return OK

    def SCardStatus(self, card: int) -> tuple[int, str, int, int, list[int]]:
        with self._call():
            code, handle = self._find(card)
            if handle is None:
                return code, "", 0, 0, []
            self._await_turn(handle.reader, handle)
            return OK, handle.reader.name, 0, scard.SCARD_PROTOCOL_T1, list(ATR)

    def SCardTransmit(self, card: int, protocol: int, command: list[int]) -> tuple[int, list[int]]:
        assert protocol == scard.SCARD_PCI_T1
        with self._call():
            code, handle = self._find(card)
            if handle is None:
                return code, []
            self._await_turn(handle.reader, handle)
            if handle.stale:
                return _GONE, []
            if handle.was_reset:
                return scard.SCARD_W_RESET_CARD, []
            return OK, list(self._answer(handle, bytes(command)))

    def _answer(self, handle: _Handle, command: bytes) -> bytes:
        """The card's answer; nothing if the card is pulled out before."""
        place = handle.reader
        assert place.card is not None
        reply = place.card.transmit(command, place.inserted_at)
        if reply.pull or reply.die:
            self.remove(place.name)
            return b""
        place.busy_until = math.inf if reply.answer is None else time.monotonic() + reply.delay
        while not handle.stale and time.monotonic() < place.busy_until:
            self._wait(place.busy_until)
        return b"" if handle.stale or reply.answer is None else reply.answer

    # -- what they share

    @property
    def _caller(self) -> Process:
        found: Process = getattr(self._threads, "process", self._others)
        return found

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._changed:
            if self._caller.dead:
                raise Killed
            yield

    def _wait(self, until: float) -> None:
        """Let others call, until something changes or the time comes."""
        self._changed.wait(None if until == math.inf else max(0.0, until - time.monotonic()))
        if self._caller.dead:
            raise Killed

    def _await_turn(self, place: _Reader, handle: _Handle | None) -> None:
        """Block while another handle holds a transaction, and while the card is at work."""
        while True:
            if place.holder is not None and place.holder is not handle:
                self._wait(math.inf)
            elif time.monotonic() < place.busy_until:
                self._wait(place.busy_until)
            else:
                return

    def _find(self, number: int) -> tuple[int, _Handle | None]:
        """The handle, or the code that says why it is gone."""
        handle = self._handles.get(number)
        if handle is None:
            return self._no_context(), None
        if self._readers.get(handle.reader.name) is not handle.reader:
            return scard.SCARD_E_READER_UNAVAILABLE, None
        return (_GONE, None) if handle.stale else (OK, handle)

    def _no_context(self) -> int:
        code = scard.SCARD_E_INVALID_HANDLE if self._runs else scard.SCARD_E_NO_SERVICE
        return int(code)

    def _dispose(self, handle: _Handle, disposition: int) -> None:
        """Reset the card, if that is asked for; all others are told at their next call."""
        if disposition == scard.SCARD_LEAVE_CARD:
            return
        assert disposition == scard.SCARD_RESET_CARD
        if handle.reader.card is not None:
            handle.reader.card.reset()
        for other in handle.reader.handles:
            other.was_reset = other is not handle

    def _forget(self, which: Callable[[_Handle], bool], *, dying: bool = True) -> None:
        """Let go of handles. The card of one whose program ends in a transaction is reset."""
        for number, handle in [(key, each) for key, each in self._handles.items() if which(each)]:
            place = handle.reader
            if place.holder is handle or handle.exclusive:
                if dying and not handle.stale:
                    self._dispose(handle, scard.SCARD_RESET_CARD)
                if place.holder is handle:
                    place.holder = None
            del self._handles[number]
            if handle in place.handles:
                place.handles.remove(handle)
        self._changed.notify_all()

    def _moved(self, place: _Reader) -> None:
        """A card came or went: older handles can only be let go."""
        place.events += 1
        place.holder, place.busy_until = None, 0.0
        self._changed.notify_all()

    def _seen(self, name: str, known: int) -> tuple[str, int, list[int]]:
        if name == _PNP:
            state, atr = len(self._readers) << 16, list[int]()
        elif name in self._readers:
            place = self._readers[name]
            state, atr = place.state, list(ATR) if place.card else []
        else:
            state, atr = int(scard.SCARD_STATE_UNKNOWN), []
        told = known & ~scard.SCARD_STATE_CHANGED
        return name, state | (scard.SCARD_STATE_CHANGED if told != state else 0), atr
