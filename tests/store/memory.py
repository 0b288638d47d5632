# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A store in memory: the second one with the type ``Records``, which shows that this is a seam.

It forgets everything at its end, and nothing in it can be damaged or gone.
"""

from __future__ import annotations

from dataclasses import replace

from keyservice.core.errors import AlreadyBound, NotEnrolled, UkeyError
from keyservice.core.reasons import Reason
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.store import uniqueness
from keyservice.store.people import NO_UID, Event, Kind, now
from keyservice.store.records import Binding, Enrolment, Inventory
from keyservice.store.revocations import Revocation


class MemoryRecords:
    """See :class:`~keyservice.store.records.Records`. No call takes any time."""

    def __init__(self) -> None:
        self._bindings: dict[str, Binding] = {}
        self._revoked: dict[str, Revocation] = {}
        self._events: list[Event] = []

    async def enrolled(self, person: Person, budget: Budget) -> Enrolment | None:
        return self._enrolment(uniqueness.theirs(self._bindings.values(), person))

    async def still(self, enrolment: Enrolment, budget: Budget) -> Enrolment | None:
        binding = self._bindings.get(enrolment.binding.user)
        return self._enrolment(binding) if binding == enrolment.binding else None

    async def inventory(self, budget: Budget) -> Inventory:
        return Inventory(list(self._bindings.values()), [], list(self._revoked.values()))

    async def named(self, user: str, budget: Budget) -> Binding:
        if user not in self._bindings:
            raise NotEnrolled(user=user)
        return self._bindings[user]

    async def last(self, user: str, budget: Budget) -> Event | None:
        return next((each for each in reversed(self._events) if each.user == user), None)

    async def had(self, person: Person, budget: Budget) -> Event | None:
        theirs = self._known(person.name, person.uid)
        return theirs[-1] if theirs else None

    async def revocation(self, key: str, budget: Budget) -> Revocation | None:
        return self._revoked.get(key)

    async def revocations(self, budget: Budget) -> list[Revocation]:
        return list(self._revoked.values())

    async def add(self, binding: Binding, budget: Budget) -> None:
        self.put(binding)

    def put(self, binding: Binding) -> None:
        person, kept = Person(binding.user, binding.uid), self._bindings.values()
        own = uniqueness.theirs(kept, person)
        if own is not None:
            raise AlreadyBound(Reason.HAS_UKEY, user=own.user, serial=own.serial)
        uniqueness.check_free(kept, serial=binding.serial, key=binding.fingerprint)
        self._bindings[binding.user] = binding
        self._note(Kind.BOUND, binding, binding.bound_by, binding.bound_at)

    async def remove(self, binding: Binding, by: int, budget: Budget) -> None:
        if self._bindings.get(binding.user) != binding:
            raise NotEnrolled(user=binding.user)
        self._note(Kind.UNBOUND, self._bindings.pop(binding.user), by, now())

    async def discard(self, user: str, by: int, budget: Budget) -> None:
        binding = self._bindings.pop(user, None)
        if binding is not None:
            self._note(Kind.UNBOUND, binding, by, now())

    async def revoke(self, event: Revocation, budget: Budget) -> None:
        self._revoked.pop(event.key, None)
        if event.revoked:
            self._revoked[event.key] = event

    async def forget(self, user: str, uid: int, by: int, budget: Budget) -> list[Event]:
        known = self._known(user, uid)
        for each in self._bindings.values():
            if each.user == user or each.uid == uid != NO_UID:
                raise AlreadyBound(Reason.HAS_UKEY, user=each.user, serial=each.serial)
        self._events = [each for each in self._events if each not in known]
        return [replace(each, user=user) for each in known[-1:]]

    async def accept(self, by: int, budget: Budget) -> list[UkeyError]:
        return []

    def _enrolment(self, binding: Binding | None) -> Enrolment | None:
        return None if binding is None else Enrolment(binding, binding.fingerprint in self._revoked)

    def _known(self, user: str, uid: int) -> list[Event]:
        return [each for each in self._events if each.user == user or each.uid == uid != NO_UID]

    def _note(self, kind: Kind, binding: Binding, by: int, at: str) -> None:
        user, uid, serial = binding.user, binding.uid, binding.serial
        self._events.append(Event(kind, user, uid, serial, binding.fingerprint, at, by))
