# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a login needs of a factor."""

from __future__ import annotations

from typing import Protocol

from keyservice.access.context import Context
from keyservice.core.errors import FactorMissing
from keyservice.core.username import Person


class Ready(Protocol):
    """A factor after all look-ups that ask no person and no device."""

    async def prove(self, context: Context) -> None:
        """Return only if it is proven. Raises any :class:`UkeyError`."""
        ...


class Factor(Protocol):
    """One way for people to prove who they are."""

    @property
    def name(self) -> str: ...

    @property
    def asks(self) -> bool:
        """Whether a login by it asks the person for something, such as a PIN."""
        ...

    @property
    def missing(self) -> type[FactorMissing]:
        """The refusal of people who have other factors only. Facts: user, service."""
        ...

    async def ready(self, context: Context, person: Person) -> Ready | None:
        """The look-ups, and the refusals that follow from them; None if it is proven that `person`
        is not enrolled.

        A decoy goes this far too, and no account on the host may see a difference.
        """
        ...
