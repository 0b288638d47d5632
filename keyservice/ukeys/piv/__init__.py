# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PIV cards (NIST SP 800-73-4) over PC/SC, with what vendors add: metadata, serial numbers, SM2."""

from __future__ import annotations

from keyservice.ukeys.kind import Ability, CardLink, MadeWith, Ukey, Values

from .settings import PIN_RULE, SETTINGS, new_algorithm

__all__ = ["PIV"]


class PivKind:
    """See :class:`keyservice.ukeys.kind.Kind`."""

    name = "piv"
    pin_rule = PIN_RULE
    can = frozenset(Ability)
    settings = SETTINGS
    made_with = MadeWith.MANAGEMENT_KEY

    def makes(self, values: Values) -> str:
        return new_algorithm(values)

    def prepare(self) -> None:
        from . import management, ukey

        del ukey
        management.prepare()

    def recognise(self, card: CardLink) -> Ukey | None:
        from .ukey import Piv

        return Piv.recognise(card)

    def pointed(self, ukey: Ukey) -> Values:
        return {}  # its setting is a wish, and no difference between cards


PIV = PivKind()
