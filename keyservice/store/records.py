# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a store is, and what it keeps: whose each key is, who had one, and which keys are revoked.

``file_records`` is the first store. Another one is another class with the type :class:`Records`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from keyservice.core.errors import UkeyError
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey

from .limits import CREDENTIALS_MAX as CREDENTIALS_MAX
from .limits import LABEL_MAX as LABEL_MAX
from .people import Event
from .revocations import Revocation


class Purpose(StrEnum):
    """What a key is for. One key has one purpose: what signs a login's challenge never signs what
    somebody else worded."""

    LOGIN = "login"  #: the ukey is in a reader of this host
    SSH = "ssh"  #: sshd has verified it


@dataclass(frozen=True, slots=True)
class Binding:
    """One credential of a person: the key `public_key` is `user`'s, on the ukey `serial`.

    An ssh key that came from a file has no serial, application and container.
    """

    user: str  #: ``pw_name``
    uid: int
    serial: str
    kind: str  #: the ukey's kind, by its driver's name; ``ssh`` or ``sk`` for a key from a file
    application: str
    container: str
    algorithm: str  #: of the key, by its name in ``crypto.algorithms``
    public_key: str  #: hexadecimal; X ‖ Y for ``sm2``
    attested: bool  #: whether an issuer's certificate vouches that the key was made on the ukey
    bound_at: str  #: UTC, ISO 8601
    bound_by: int  #: the login uid, or else the uid, of the person who bound it
    purpose: Purpose = Purpose.LOGIN
    label: str = ""  #: how its owner tells it from their others; at most ``LABEL_MAX`` characters

    @property
    def key(self) -> PublicKey:
        return PublicKey(self.algorithm, bytes.fromhex(self.public_key))

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, 64 hexadecimal digits: a revocation names it."""
        return algorithms.fingerprint(self.key)


@dataclass(frozen=True, slots=True)
class Held:
    """A credential of somebody's, and whether its key is revoked, as read at one time."""

    binding: Binding
    revoked: bool
    #: Why nobody can tell whether the key is revoked; then it counts as revoked.
    damage: UkeyError | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """All credentials of a person, one at least, as read at one time."""

    held: tuple[Held, ...]
    #: Why nobody can tell whether the person has others too.
    damage: UkeyError | None = None

    def of(self, purpose: Purpose) -> tuple[Held, ...]:
        """Those with this purpose, in the order in which they were bound.

        Raises `damage` if there is none: nothing that is lost looks like what never was.
        """
        found = tuple(each for each in self.held if each.binding.purpose is purpose)
        if not found and self.damage is not None:
            raise self.damage
        return found


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
    when it returns. If it is late (:class:`ChangeLate`) it may still be done, and the budget's
    ``late`` is told so.
    ``uniqueness`` is the rule for what may stand side by side.
    """

    # -- looks

    async def enrolled(self, person: Person, budget: Budget) -> Enrolment | None:
        """The credentials of `person`, None if it is proven that they have none, of any purpose.

        Raises as ``uniqueness.theirs`` too.
        """
        ...

    async def still(self, held: Held, budget: Budget) -> Held | None:
        """The same credential, read again; None if it has changed since, or is gone."""
        ...

    async def inventory(self, budget: Budget) -> Inventory:
        """All that is kept. It is read once for all who ask before that begins."""
        ...

    async def named(self, user: str, budget: Budget) -> tuple[Binding, ...]:
        """All bindings under the name `user`, whatever person has that name now. For removing them.

        Raises :class:`NotEnrolled`, and :class:`RecordDamaged` if it is gone without being unbound.
        """
        ...

    async def lasts(self, user: str, budget: Budget) -> list[Event]:
        """The last binding or unbinding of each key under the name `user`, oldest first."""
        ...

    async def had(self, person: Person, budget: Budget, but: Collection[str] = ()) -> Event | None:
        """The last event of a ukey of `person`, by name or by uid; None: they never had one.

        `but`: the fingerprints of keys that do not count, as those of ssh keys that they have.
        """
        ...

    async def revocation(self, key: str, budget: Budget) -> Revocation | None:
        """The revocation that is in force for the fingerprint `key`."""
        ...

    async def revocations(self, budget: Budget) -> list[Revocation]:
        """The revocations in force, oldest first."""
        ...

    # -- changes

    async def add(self, binding: Binding, budget: Budget, limit: int = 1) -> None:
        """Keep a new binding, with which the person has at most `limit` of its purpose.

        Raises :class:`AlreadyBound` and :class:`RecordForeign`.
        """
        ...

    async def add_all(
        self, bindings: Sequence[Binding], limits: Mapping[Purpose, int], budget: Budget
    ) -> None:
        """Keep new bindings, all or none. Raises as :meth:`add`."""
        ...

    async def remove(self, binding: Binding, by: int, budget: Budget) -> None:
        """Remove it, and none of the person's others; that they had it stays known.

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
