# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Records in files, which block: each look in a thread, changes one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from keyservice.core import threads
from keyservice.core.errors import UkeyError
from keyservice.core.threads import Budget
from keyservice.core.username import Person

from .people import Event
from .records import Binding, Enrolment, Held, Inventory, Purpose
from .revocations import Revocation
from .state import State


class FileRecords:
    """See :class:`~keyservice.store.records.Records`. On the event loop's thread.

    A look takes a thread of the person it is for. A disk that hangs keeps no more than that from
    anybody: all changes together leave one thread behind, and so do all readings of the inventory.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._changes = threads.Series()
        self._inventory = threads.Shared(lambda: state.inventory)

    async def enrolled(self, person: Person, budget: Budget) -> Enrolment | None:
        return await threads.call(budget, self._state.enrolled, person)

    async def still(self, held: Held, budget: Budget) -> Held | None:
        return await threads.call(budget, self._state.still, held)

    async def inventory(self, budget: Budget) -> Inventory:
        return await self._inventory.call(budget.seconds)

    async def named(self, user: str, budget: Budget) -> tuple[Binding, ...]:
        return await threads.call(budget, self._state.named, user)

    async def lasts(self, user: str, budget: Budget) -> list[Event]:
        return await threads.call(budget, self._state.people.lasts, user)

    async def had(self, person: Person, budget: Budget, but: Collection[str] = ()) -> Event | None:
        return await threads.call(budget, self._state.people.had, person, but)

    async def revocation(self, key: str, budget: Budget) -> Revocation | None:
        return await threads.call(budget, self._state.revocations.find, key)

    async def revocations(self, budget: Budget) -> list[Revocation]:
        return await threads.call(budget, self._state.revocations.all)

    async def add(self, binding: Binding, budget: Budget, limit: int = 1) -> None:
        await self._changes.call(budget, partial(self._state.bindings.add, limit=limit), binding)

    async def add_all(
        self, bindings: Sequence[Binding], limits: Mapping[Purpose, int], budget: Budget
    ) -> None:
        await self._changes.call(budget, self._state.bindings.add_all, bindings, limits)

    async def remove(self, binding: Binding, by: int, budget: Budget) -> None:
        await self._changes.call(budget, partial(self._state.bindings.remove, by=by), binding)

    async def discard(self, user: str, by: int, budget: Budget) -> None:
        await self._changes.call(budget, partial(self._state.bindings.discard, by=by), user)

    async def revoke(self, event: Revocation, budget: Budget) -> None:
        await self._changes.call(budget, self._state.revocations.append, event)

    async def forget(self, user: str, uid: int, by: int, budget: Budget) -> list[Event]:
        return await self._changes.call(budget, self._state.forget, user, uid, by)

    async def accept(self, by: int, budget: Budget) -> list[UkeyError]:
        return await self._changes.call(budget, self._state.accept, by)
