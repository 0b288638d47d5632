# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""OpenPGP cards (OpenPGP smart card application 3.4 and before) over PC/SC: their authentication
key."""

from __future__ import annotations

from keyservice.ukeys.kind import Ability, CardLink, MadeWith, Ukey, Values

from .settings import PIN_RULE, SETTINGS, new_algorithm

__all__ = ["OPENPGP"]


class OpenPgpKind:
    """See :class:`keyservice.ukeys.kind.Kind`."""

    name = "openpgp"
    pin_rule = PIN_RULE
    can = frozenset(Ability) - {Ability.ATTEST}
    settings = SETTINGS
    made_with = MadeWith.ADMIN_PIN

    def makes(self, values: Values) -> str:
        return new_algorithm(values)

    def prepare(self) -> None:
        from . import kdf, ukey

        del ukey
        kdf.prepare()

    def recognise(self, card: CardLink) -> Ukey | None:
        from .ukey import OpenPgp

        return OpenPgp.recognise(card)

    def pointed(self, ukey: Ukey) -> Values:
        return {}  # its settings are wishes, and no differences between cards


OPENPGP = OpenPgpKind()
