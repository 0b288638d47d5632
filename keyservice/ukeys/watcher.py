# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The watcher: the process that sleeps in pcscd until a reader or a card comes or goes.

It tells the service all readers, at the start and at each change, and when pcscd has gone; it
wakes up for little else.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Final

from smartcard import scard

from keyservice.core.errors import ReaderAbsent, UkeyError
from keyservice.transport.pcsc import PNP_NOTIFICATION, Context

from . import wire
from .arrival import Arrival
from .confine import confine
from .wire import ReaderSeen

#: pcsc-lite 1 misses a reader that comes between listing and waiting: so the readers are listed
#: anew after as many milliseconds.
_LIST_AGAIN: Final = 60_000


def watch(channel: socket.socket, context: Context) -> None:
    """Report for ever. Raises :class:`ConnectionError` when the service has gone."""
    arrival = Arrival(channel)
    told: bytearray | None = None

    def tell(message: bytearray) -> None:
        nonlocal told
        if message != told:
            channel.send(message)
            told = message

    def tell_readers(readers: list[ReaderSeen]) -> None:
        arrival.reset()
        tell(wire.build_readers(readers))

    while True:
        try:
            _report_changes(context, tell_readers)
        except UkeyError:
            context.close()
            tell(wire.build_no_pcscd())
            arrival.sleep()


def _report_changes(context: Context, tell: Callable[[list[ReaderSeen]], None]) -> None:
    """Report until pcscd fails, which raises."""
    states: dict[str, int] = {}
    plugged = scard.SCARD_STATE_UNAWARE
    while True:
        names = context.readers()[: wire.READERS_MAX]
        states = {name: states.get(name, scard.SCARD_STATE_UNAWARE) for name in names}
        if scard.SCARD_STATE_UNAWARE not in states.values():
            tell([_seen(name, state) for name, state in states.items()])
        # returns at once for a reader that was not known
        for name, state, _ in context.wait(
            [*states.items(), (PNP_NOTIFICATION, plugged)], _LIST_AGAIN
        ):
            if name in states:
                states[name] = state & ~scard.SCARD_STATE_CHANGED
            else:
                plugged = state & ~scard.SCARD_STATE_CHANGED


def _seen(name: str, state: int) -> ReaderSeen:
    return ReaderSeen(name, bool(state & scard.SCARD_STATE_PRESENT), state >> 16 & 0xFFFF)


def main() -> None:
    """``watcher PARENT FD``: see :class:`keyservice.ukeys.child.Child`."""
    parent, descriptor = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    context = Context()
    with contextlib.suppress(ReaderAbsent):
        context.handle()  # loads what a confined process could not
    confine(int(parent))
    with contextlib.suppress(ConnectionError):
        watch(channel, context)
