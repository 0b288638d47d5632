# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ukeys that speak the GM/T 0017-2012 command set, as implementations do, over PC/SC."""

from __future__ import annotations

from keyservice.ukeys.kind import Ability, CardLink, MadeWith, Ukey, Values

from .settings import PIN_RULE, SETTINGS

__all__ = ["GMT0017"]


class Gmt0017Kind:
    """See :class:`keyservice.ukeys.kind.Kind`."""

    name = "gmt0017"
    pin_rule = PIN_RULE
    can = frozenset(Ability) - {Ability.ATTEST}
    settings = SETTINGS
    made_with = MadeWith.PIN

    def makes(self, values: Values) -> str:
        return "sm2"

    def prepare(self) -> None:
        from . import pins, pointers, ukey

        del pointers, ukey
        pins.prepare()

    def recognise(self, card: CardLink) -> Ukey | None:
        from .ukey import Gmt0017

        return Gmt0017.recognise(card)

    def pointed(self, ukey: Ukey) -> Values:
        from .pointers import pointed

        return pointed(ukey)


GMT0017 = Gmt0017Kind()
