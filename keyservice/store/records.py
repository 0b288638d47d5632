# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a store is, and what it keeps: who owns which ukey, who had one, and which keys are revoked.

``file_records`` is the first store. Another one is another class with the type :class:`Records`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from keyservice.core.errors import UkeyError
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey

from .people import Event
from .revocations import Revocation


@dataclass(frozen=True, slots=True)
class Binding:
    """The ukey `serial`, which holds the key `public_key`, is `user`'s."""

    user: str  #: ``pw_name``
    uid: int
    serial: str
    kind: str  #: the ukey's kind, by its driver's name
    application: str
    container: str
    algorithm: str  #: of the key, by its name in ``crypto.algorithms``
    public_key: str  #: hexadecimal; X ‖ Y for ``sm2``
    attested: bool  #: whether an issuer's certificate vouches that the key was made on the ukey
    bound_at: str  #: UTC, ISO 8601
    bound_by: int  #: the login uid, or else the uid, of the person who bound it

    @property
    def key(self) -> PublicKey:
        return PublicKey(self.algorithm, bytes.fromhex(self.public_key))

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, 64 hexadecimal digits: a revocation names it."""
        return algorithms.fingerprint(self.key)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Somebody's binding, and whether its key is revoked, as read at one time."""

    binding: Binding
    revoked: bool
    #: Why nobody can tell whether the key is revoked; then it counts as revoked.
    damage: UkeyError | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is kept, as read at one time."""

    bindings: list[Binding]
    damaged: list[UkeyError]  #: one for each record or history that cannot be trusted, or is gone
    revocations: list[Revocation] | None  #: those in force, oldest first; None if that is damaged
    #: One for each file among the records that can be none, and keeps nobody out.
    strays: list[UkeyError] = field(default_factory=list)


class Records(Protocol):
    """A store. Each call ends within its budget, or raises :class:`LookUpLate`.

    What is damaged, or cannot be reached, never looks like what is not there: each call raises
    :class:`RecordDamaged` or :class:`StoreFailed` then. A call that changes something is lasting
    when it returns. If it is late it may still be done, and the budget's ``late`` is told so.
    ``uniqueness`` is the rule for what may stand side by side.
    """

    # -- looks

    async def enrolled(self, person: Person, budget: Budget) -> Enrolment | None:
        """The binding of `person`, None if it is proven that there is none.

        Raises as ``uniqueness.theirs`` too.
        """
        ...

    async def still(self, enrolment: Enrolment, budget: Budget) -> Enrolment | None:
        """The same, read again; None if the record has changed since, or is gone."""
        ...

    async def inventory(self, budget: Budget) -> Inventory:
        """All that is kept. It is read once for all who ask before that begins."""
        ...

    async def named(self, user: str, budget: Budget) -> Binding:
        """The binding under the name `user`, whatever person has that name now. For removing it.

        Raises :class:`NotEnrolled`, and :class:`RecordDamaged` if it is gone without being unbound.
        """
        ...

    async def last(self, user: str, budget: Budget) -> Event | None:
        """The last binding or unbinding under the name `user`."""
        ...

    async def had(self, person: Person, budget: Budget) -> Event | None:
        """The last event of a ukey of `person`, by name or by uid; None: they never had one."""
        ...

    async def revocation(self, key: str, budget: Budget) -> Revocation | None:
        """The revocation that is in force for the fingerprint `key`."""
        ...

    async def revocations(self, budget: Budget) -> list[Revocation]:
        """The revocations in force, oldest first."""
        ...

    # -- changes

    async def add(self, binding: Binding, budget: Budget) -> None:
        """Keep a new binding. Raises :class:`AlreadyBound` and :class:`RecordForeign`."""
        ...

    async def remove(self, binding: Binding, by: int, budget: Budget) -> None:
        """Remove it; that the person had a ukey stays known.

        Raises :class:`NotEnrolled` if it is not the stored one any more.
        """
        ...

    async def discard(self, user: str, by: int, budget: Budget) -> None:
        """Remove the record under the name `user` that cannot be read, or is gone."""
        ...

    async def revoke(self, event: Revocation, budget: Budget) -> None:
        """Revoke a key, or take that back."""
        ...

    async def forget(self, user: str, uid: int, by: int, budget: Budget) -> list[Event]:
        """Forget that anybody of that name or uid had a ukey. Returns what was known of `user`.

        Raises :class:`AlreadyBound` if one of these people has a ukey bound.
        """
        ...

    async def accept(self, by: int, budget: Budget) -> list[UkeyError]:
        """Accept all as it is. Returns what was not right."""
        ...
