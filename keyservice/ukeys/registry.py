# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The kinds of ukey that are known: one line each, in the order in which they are tried."""

from __future__ import annotations

from keyservice.core.errors import UkeyUnknown

from .gmt0017 import CardLink, Gmt0017

KINDS = (Gmt0017,)


def recognise(card: CardLink) -> Gmt0017:
    """The ukey behind `card`. Raises :class:`UkeyUnknown` for any other card."""
    for kind in KINDS:
        ukey = kind.recognise(card)
        if ukey is not None:
            return ukey
    raise UkeyUnknown(reader=card.reader)
