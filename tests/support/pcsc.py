# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What pcscd says of its readers: to wait for what it has seen."""

from __future__ import annotations

from smartcard import scard


def occupied() -> frozenset[str]:
    """The readers with a card in them; none where pcscd is not there."""
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    if result != scard.SCARD_S_SUCCESS:
        return frozenset()
    try:
        result, names = scard.SCardListReaders(context, [])
        if result != scard.SCARD_S_SUCCESS:
            return frozenset()
        asked = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
        result, states = scard.SCardGetStatusChange(context, 0, asked)
        if result != scard.SCARD_S_SUCCESS:
            return frozenset()
        return frozenset(name for name, state, _ in states if state & scard.SCARD_STATE_PRESENT)
    finally:
        scard.SCardReleaseContext(context)
