# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The kinds of ukey that are known: one line each, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from keyservice.core.errors import UkeyUnknown

from .gmt0017 import GMT0017
from .kind import CardLink, Kind, Setting, Ukey, Values
from .openpgp import OPENPGP
from .piv import PIV

KINDS: tuple[Kind, ...] = (GMT0017, PIV, OPENPGP)

#: The setting by which the card in a reader counts as one kind only. It is not a kind's own.
KIND, ANY = "kind", "any"


def named(name: str) -> Kind:
    """The kind that a record or a ukey names. Raises :class:`UkeyUnknown`."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise UkeyUnknown("The ukey is of an unknown kind", kind=name)


@cache
def settings() -> Mapping[str, Setting]:
    """All settings, by name. Kinds that share a name mean the same by it."""
    which = Setting(KIND, (ANY, *(kind.name for kind in KINDS)))
    each = (setting for kind in KINDS for setting in kind.settings)
    return {setting.name: setting for setting in (which, *each)}


def prepare() -> None:
    """See :meth:`~keyservice.ukeys.kind.Kind.prepare`."""
    for kind in KINDS:
        kind.prepare()


def recognise(card: CardLink, values: Values) -> Ukey:
    """The ukey behind `card`, of the kind that `values` name, else of the first that it is of.

    Raises :class:`UkeyUnknown` for any other card.
    """
    wanted = values.get(KIND, ANY)
    for kind in KINDS:
        if wanted not in (ANY, kind.name):
            continue
        ukey = kind.recognise(card)
        if ukey is not None:
            return ukey
    raise UkeyUnknown(reader=card.reader)
