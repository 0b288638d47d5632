# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Where ukeys come from: what tells which readers there are, and what operates one.

The first is PC/SC. A source has its own processes, and its own way to confine them: the service
itself never parses what a device says. A new one is a module and a line in
:mod:`keyservice.ukeys.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from keyservice.core.errors import UkeyError
from keyservice.transport.state import ReaderState

#: Every reader of the source, or None while the source itself is not there.
Seen = Callable[[Sequence[ReaderState] | None], None]


class Operator(Protocol):
    """What operates one reader, for one request at a time."""

    def send(self, message: bytearray) -> None:
        """Send a request (:mod:`keyservice.ukeys.wire`); the answer comes later."""
        ...

    def kill(self) -> None:
        """End it now, whatever it is doing. Nothing is called back any more."""
        ...

    async def wait(self) -> None:
        """Wait until it has ended."""
        ...


class Listener(Protocol):
    """The party that has an :class:`Operator` work."""

    def answered(self, message: bytearray) -> None: ...

    def ended(self, error: UkeyError, *, bug: bool) -> None:
        """It has ended by itself. A request under way fails with `error`; `bug`: the reason is not
        known."""
        ...


class Source(Protocol):
    """Lives on the event loop's thread."""

    @property
    def name(self) -> str:
        """For people and logs: the name of what is missing if there are no readers."""
        ...

    def start(self, seen: Seen) -> None:
        """From now on, `seen` is called with all readers, at the start and at each change."""
        ...

    def stop(self) -> None:
        """From now on, `seen` is not called any more."""
        ...

    async def wait(self) -> None:
        """After :meth:`stop`: wait until all that it had started has ended."""
        ...

    def open(self, reader: str, listener: Listener) -> Operator:
        """Start what operates the reader. Raises :class:`OSError`."""
        ...
