# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A store in memory: the second one with the type ``Records``, which shows that this is a seam.

It forgets everything at its end, and nothing in it can be damaged or gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from keyservice.core.errors import AlreadyBound, NotEnrolled, UkeyError
from keyservice.core.reasons import Reason
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.store import uniqueness
from keyservice.store.people import NO_UID, Event, Kind, now
from keyservice.store.records import Binding, Enrolment, Held, Inventory, Purpose
from keyservice.store.revocations import Revocation


class MemoryRecords:
    """See :class:`~keyservice.store.records.Records`. No call takes any time."""

    def __init__(self) -> None:
        self._bindings: list[Binding] = []
        self._revoked: dict[str, Revocation] = {}
        self._events: list[Event] = []

    async def enrolled(self, person: Person, budget: Budget) -> Enrolment | None:
        found = uniqueness.theirs(self._bindings, person)
        return Enrolment(tuple(map(self._held, found))) if found else None

    async def still(self, held: Held, budget: Budget) -> Held | None:
        return self._held(held.binding) if held.binding in self._bindings else None

    async def inventory(self, budget: Budget) -> Inventory:
        bindings = sorted(self._bindings, key=lambda each: each.user)
        return Inventory(bindings, [], list(self._revoked.values()))

    async def named(self, user: str, budget: Budget) -> tuple[Binding, ...]:
        found = tuple(each for each in self._bindings if each.user == user)
        if not found:
            raise NotEnrolled(user=user)
        return found

    async def lasts(self, user: str, budget: Budget) -> list[Event]:
        newest: dict[str, Event] = {}
        for each in self._events:
            if each.user == user:
                newest.pop(each.key, None)
                newest[each.key] = each
        return list(newest.values())

    async def had(self, person: Person, budget: Budget, but: Collection[str] = ()) -> Event | None:
        theirs = [each for each in self._known(person.name, person.uid) if each.key not in but]
        return theirs[-1] if theirs else None

    async def revocation(self, key: str, budget: Budget) -> Revocation | None:
        return self._revoked.get(key)

    async def revocations(self, budget: Budget) -> list[Revocation]:
        return list(self._revoked.values())

    async def add(self, binding: Binding, budget: Budget, limit: int = 1) -> None:
        self.put(binding, limit=limit)

    def put(self, binding: Binding, *, limit: int = 1) -> None:
        own = uniqueness.theirs(self._bindings, Person(binding.user, binding.uid))
        uniqueness.check_room(own, binding, limit)
        uniqueness.check_free(self._bindings, **uniqueness.names(binding))
        self._bindings.append(binding)
        self._note(Kind.BOUND, binding, binding.bound_by, binding.bound_at)

    async def add_all(
        self, bindings: Sequence[Binding], limits: Mapping[Purpose, int], budget: Budget
    ) -> None:
        bindings_before, events_before = list(self._bindings), list(self._events)
        try:
            for each in bindings:
                self.put(each, limit=limits[each.purpose])
        except UkeyError:
            self._bindings, self._events = bindings_before, events_before
            raise

    async def remove(self, binding: Binding, by: int, budget: Budget) -> None:
        if binding not in self._bindings:
            raise NotEnrolled(user=binding.user)
        self._bindings.remove(binding)
        self._note(Kind.UNBOUND, binding, by, now())

    async def discard(self, user: str, by: int, budget: Budget) -> None:
        for each in [each for each in self._bindings if each.user == user]:
            await self.remove(each, by, budget)

    async def revoke(self, event: Revocation, budget: Budget) -> None:
        self._revoked.pop(event.key, None)
        if event.revoked:
            self._revoked[event.key] = event

    async def forget(self, user: str, uid: int, by: int, budget: Budget) -> list[Event]:
        known = self._known(user, uid)
        for each in self._bindings:
            if each.user == user or each.uid == uid != NO_UID:
                raise AlreadyBound(Reason.HAS_UKEY, user=each.user, serial=each.serial)
        self._events = [each for each in self._events if each not in known]
        return [replace(each, user=user) for each in known[-1:]]

    async def accept(self, by: int, budget: Budget) -> list[UkeyError]:
        return []

    def _held(self, binding: Binding) -> Held:
        return Held(binding, binding.fingerprint in self._revoked)

    def _known(self, user: str, uid: int) -> list[Event]:
        return [each for each in self._events if each.user == user or each.uid == uid != NO_UID]

    def _note(self, kind: Kind, binding: Binding, by: int, at: str) -> None:
        user, uid, serial = binding.user, binding.uid, binding.serial
        self._events.append(Event(kind, user, uid, serial, binding.fingerprint, at, by))
