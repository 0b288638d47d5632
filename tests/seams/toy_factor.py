# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A factor for the copy of the tree: bob knows what six times seven is."""

from __future__ import annotations

from keyservice.access.context import Context
from keyservice.access.factors.factor import Ready
from keyservice.core.errors import FactorMissing, PinWrong
from keyservice.core.secret import Secret
from keyservice.core.username import Person


class Riddle:
    """See :class:`keyservice.access.factors.factor.Factor`, and ``Ready``: it needs no look-up."""

    name = "riddle"
    asks = True
    missing = FactorMissing

    async def ready(self, context: Context, person: Person) -> Ready | None:
        return self if person.name == "bob" else None

    async def prove(self, context: Context) -> None:
        answer = await context.conversation.ask("Six times seven: ")
        if not answer.matches(Secret(b"42")):
            raise PinWrong("That is not what it is")
