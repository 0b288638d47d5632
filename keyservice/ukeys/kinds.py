# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The kinds of ukey that are known: one line each, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from keyservice.core.errors import UkeyUnknown

from .gmt0017 import GMT0017
from .kind import CardLink, Kind, Setting, Ukey
from .openpgp import OPENPGP
from .piv import PIV

KINDS: tuple[Kind, ...] = (GMT0017, PIV, OPENPGP)


def named(name: str) -> Kind:
    """The kind that a record or a ukey names. Raises :class:`UkeyUnknown`."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise UkeyUnknown("The ukey is of an unknown kind", kind=name)


@cache
def settings() -> Mapping[str, Setting]:
    """The settings of all kinds, by name. Kinds that share a name mean the same by it."""
    return {setting.name: setting for kind in KINDS for setting in kind.settings}


def prepare() -> None:
    """See :meth:`~keyservice.ukeys.kind.Kind.prepare`."""
    for kind in KINDS:
        kind.prepare()


def recognise(card: CardLink) -> Ukey:
    """The ukey behind `card`. Raises :class:`UkeyUnknown` for any other card."""
    for kind in KINDS:
        ukey = kind.recognise(card)
        if ukey is not None:
            return ukey
    raise UkeyUnknown(reader=card.reader)
