# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All records of this host: made ready for the service, and accepted as they are.

A file that is gone, shorter or cut is damaged, and stays so until it is put back, or until somebody
says that the present state is right. A start is the first one only if nothing was kept before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from keyservice.core.errors import AlreadyBound, NotEnrolled, RecordDamaged, StoreFailed, UkeyError
from keyservice.core.reasons import Reason
from keyservice.core.username import Person

from .bindings import Bindings
from .files import PrivateDirectory
from .people import NO_UID, Event, Kind, People, now
from .records import Binding, Enrolment, Held, Inventory
from .revocations import Revocations
from .witness import FILE, HIDDEN, Witness


class State:
    """Records and histories, and the means to notice the loss of each. Blocking.

    `host`: this host's machine id.
    """

    def __init__(self, records: PrivateDirectory, state: PrivateDirectory, host: str) -> None:
        self._records, self._state = records, state
        self._witness = Witness(host, (state, FILE), (records, HIDDEN))
        self.revocations = Revocations(state, self._witness)
        self.people = People(state, self._witness)
        self.bindings = Bindings(records, self.people, self.revocations)

    def start(self) -> list[str]:
        """Make the folders ready. Returns what to tell: nothing, as long as all is well.

        For the service's start, while no one else writes. What is damaged stays as it is.
        """
        told = []
        for folder in (self._records, self._state):
            left = folder.prepare()
            told += [f"{folder.path}: removed {name}, left by a killed writer" for name in left]
        lost = self._witness.missing()
        told += self._told(lost) + self.strays()
        try:
            self._adopt()
            if lost:
                self._witness.note(self._contents())
        except RecordDamaged as error:
            told.append(f"{error}; until it is put right, or accepted, nobody passes by nouserok")
        return told

    def look(self) -> list[str]:
        """What is damaged or gone, as :meth:`start` tells it, beside :meth:`strays`. Changes
        nothing."""
        missing = [each for each in (self._records, self._state) if not each.there]
        try:
            if missing:  # a start makes them; there was one before if the other folder tells of it
                kept = self._witness.kept()
                return [f"{each.path}: it is gone" for each in missing] if kept else []
            return self._told(self._witness.missing())
        except (RecordDamaged, StoreFailed) as error:
            return [str(error)]

    def _told(self, lost: list[PrivateDirectory]) -> list[str]:
        told = []
        if len(lost) < self._witness.places:
            told += [f"{folder.path}: it was emptied, or made again" for folder in lost]
        damaged = [f"{error}; see: ukey bindings" for error in self.bindings.all()[1]]
        return told + damaged

    def strays(self) -> list[str]:
        """Files among the records that keep nobody out: none where these cannot be read."""
        try:
            return [str(error) for error in self.bindings.strays()]
        except (RecordDamaged, StoreFailed):
            return []

    def enrolled(self, person: Person) -> Enrolment | None:
        """What is bound to `person`, None if it is proven that there is nothing.

        Raises as :meth:`Bindings.of`.
        """
        found = self.bindings.of(person)
        if not found:
            return None
        return Enrolment(tuple(map(self._held, found)), self.bindings.incomplete(found))

    def still(self, held: Held) -> Held | None:
        """The same credential, read again; None if it has changed since, or is gone."""
        binding = held.binding
        return self._held(binding) if binding in self.bindings.named(binding.user) else None

    def named(self, user: str) -> tuple[Binding, ...]:
        """All bindings under the name `user`. As ``Records.named``."""
        bindings = self.bindings.named(user)
        if not bindings:
            self.bindings.check_gone(user)
            raise NotEnrolled(user=user)
        return bindings

    def inventory(self) -> Inventory:
        """All that is kept, as read at one time."""
        bindings, damaged = self.bindings.all()
        for folder in (self._records, self._state):
            if folder.stale:
                why = Reason.REPLACED.value
                damaged.append(StoreFailed("Cannot write", path=str(folder.path), why=why))
        strays = self.bindings.strays()
        try:
            return Inventory(bindings, damaged, self.revocations.all(), strays)
        except (RecordDamaged, StoreFailed):  # which is among `damaged`
            return Inventory(bindings, damaged, None, strays)

    def _held(self, binding: Binding) -> Held:
        try:
            revoked = self.revocations.find(binding.fingerprint) is not None
            return Held(binding, revoked)
        except UkeyError as error:
            return Held(binding, revoked=True, damage=error)

    def damage(self) -> list[UkeyError]:
        """Everything that cannot be trusted or is gone."""
        try:
            return self.bindings.all()[1]
        except (RecordDamaged, StoreFailed) as error:
            return [error]

    def forget(self, user: str, uid: int, by: int) -> list[Event]:
        """Forget that anybody of that name or uid had a ukey. Returns what was known of `user`.

        If the uid was somebody else's before, of another name, that name stays known. Raises
        :class:`AlreadyBound` if one of these people has a ukey bound.
        """
        known = self.people.known(user, uid)
        names = dict.fromkeys(event.user for event in known)
        for last in (each for name in names for each in self.people.lasts(name)):
            if last.event is Kind.BOUND and (last.user == user or last.uid == uid):
                raise AlreadyBound(Reason.HAS_UKEY, user=last.user, serial=last.serial)
        if known:
            self.people.append(Event(Kind.FORGOTTEN, user, uid, "", "", now(), by))
        return [replace(event, user=user) for event in known]

    def accept(self, by: int) -> list[UkeyError]:
        """Accept the histories and the set of records as they are. Returns what was not right.

        A revocation whose line only lost its end stays in force; half a line goes. All keys that
        are gone from their records count as unbound. Damaged records stay damaged. Raises
        :class:`RecordDamaged` for a history with a line that cannot be read.
        """
        for folder in (self._records, self._state):
            folder.prepare()
        before = {_place(error): error for error in self.damage()}
        contents = {}
        for each in (self.revocations, self.people):
            contents[each.history.name] = each.accepted()
        for each in (self.revocations, self.people):
            each.history.settle(contents[each.history.name])
        self._witness.accept(contents)
        gone = [replace(each, event=Kind.UNBOUND, at=now(), by=by) for each in self.bindings.gone()]
        found = {**before, **{_place(error): error for error in self.damage()}}
        self._adopt()
        self.people.append(*gone, Event(Kind.ACCEPTED, "", NO_UID, "", "", now(), by))
        still = set(map(_place, self.damage()))
        return [error for place, error in found.items() if place not in still]

    def _adopt(self) -> None:
        """Note bindings and revocations that another version, or a person by hand, has made."""
        bindings, _ = self.bindings.all()
        there = {(each.user, each.fingerprint) for each in bindings}
        everyone, known = self.people.bound(), self.people.keys()
        bound = {each.key: each for each in everyone if (each.user, each.key) not in there}
        new = {}
        for each in self.revocations.lines():
            if each.key in bound:
                new[each.key] = replace(bound[each.key], event=Kind.UNBOUND, at=each.at, by=each.by)
            elif each.key not in known:
                new[each.key] = Event(
                    Kind.UNBOUND, each.user, NO_UID, each.serial, each.key, each.at, each.by
                )
        if new:
            self.people.append(*new.values())
        self.bindings.adopt(bindings, wait=True)

    def _contents(self) -> dict[str, bytes]:
        return {each.history.name: each.history.read() for each in (self.revocations, self.people)}


def _place(error: UkeyError) -> str:
    return str(error.facts.get("path", error.message))


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the state's directory, so that nobody else writes there."""
    with suppress(FileExistsError):
        state.mkdir(0o700, parents=True)
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreFailed("another keyservice runs on this host") from None
        yield
    finally:
        os.close(folder)
