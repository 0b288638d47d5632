# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Readers and cards that come and go, as pcscd tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from smartcard import scard

from .pcsc import Context
from .state import ReaderState

#: As many readers as pcsc-lite knows at most.
READERS_MAX: Final = 16

#: The name under which pcscd reports readers that come and go.
_PNP_NOTIFICATION: Final = r"\\?PnP?\Notification"

#: pcsc-lite 1 misses a reader that comes between listing and waiting: so the readers are listed
#: again after so many milliseconds.
_LIST_AGAIN: Final = 60_000


def changes(context: Context) -> Iterator[list[ReaderState]]:
    """Yield all readers, now and whenever something may have changed. Sleeps in pcscd in between.

    Raises :class:`ReaderAbsent` when pcscd is not there, or goes.
    """
    states: dict[str, int] = {}
    plugged = scard.SCARD_STATE_UNAWARE
    while True:
        names = context.readers()[:READERS_MAX]
        states = {name: states.get(name, scard.SCARD_STATE_UNAWARE) for name in names}
        if scard.SCARD_STATE_UNAWARE not in states.values():
            yield [_state(name, state) for name, state in states.items()]
        # returns at once for a reader that was not known
        for name, state, _ in context.wait(
            [*states.items(), (_PNP_NOTIFICATION, plugged)], _LIST_AGAIN
        ):
            if name in states:
                states[name] = state & ~scard.SCARD_STATE_CHANGED
            else:
                plugged = state & ~scard.SCARD_STATE_CHANGED


def _state(name: str, state: int) -> ReaderState:
    return ReaderState(name, bool(state & scard.SCARD_STATE_PRESENT), state >> 16 & 0xFFFF)
