# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""pcscd's own view of its readers, to wait for what it saw; and other programs that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smartcard import scard

from .process import HostError

#: How a stranger may leave a card.
LEAVE, RESET = scard.SCARD_LEAVE_CARD, scard.SCARD_RESET_CARD


def states() -> dict[str, tuple[bool, int]]:
    """For each reader: whether a card is in it, and how often its poll has seen one come or go.

    Empty where pcscd is not there. A failed command makes a card absent at once, but only the poll
    is counted. If a card comes back before the poll has missed it, pcscd never sees it again.
    """
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if result != scard.SCARD_S_SUCCESS:
        return {}
    try:
        result, names = scard.SCardListReaders(context, [])
        if result != scard.SCARD_S_SUCCESS:
            return {}
        asked = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
        result, found = scard.SCardGetStatusChange(context, 0, asked)
        if result != scard.SCARD_S_SUCCESS:
            return {}
        return {
            name: (bool(state & scard.SCARD_STATE_PRESENT), state >> 16 & 0xFFFF)
            for name, state, _ in found
        }
    finally:
        scard.SCardReleaseContext(context)


def occupied() -> frozenset[str]:
    """The readers with a card in them; none where pcscd is not there."""
    return frozenset(name for name, (present, _) in states().items() if present)


@contextmanager
def stranger(
    reader: str, disposition: int = LEAVE, share: int = scard.SCARD_SHARE_SHARED
) -> Iterator[int]:
    """Another program's handle to a card, which at the end it leaves as `disposition` says."""
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _must(result)
    try:
        result, handle, _ = scard.SCardConnect(context, reader, share, scard.SCARD_PROTOCOL_T1)
        _must(result)
        try:
            yield handle
        finally:
            _must(scard.SCardDisconnect(handle, disposition))
    finally:
        scard.SCardReleaseContext(context)


@contextmanager
def held(reader: str) -> Iterator[None]:
    """Another program holds a transaction: nobody else's command gets to the card."""
    with stranger(reader) as handle:
        _must(scard.SCardBeginTransaction(handle))
        yield
        _must(scard.SCardEndTransaction(handle, LEAVE))


@contextmanager
def alone(reader: str) -> Iterator[None]:
    """Another program has the reader for itself: nobody else connects to the card."""
    with stranger(reader, share=scard.SCARD_SHARE_EXCLUSIVE):
        yield


def _must(result: int) -> None:
    if result != scard.SCARD_S_SUCCESS:
        raise HostError(f"PC/SC: {scard.SCardGetErrorMessage(result)}")
