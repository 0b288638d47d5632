# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whose each key is: one record per person, with all of their credentials."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from keyservice.core.errors import (
    AlreadyBound,
    NotEnrolled,
    RecordDamaged,
    StoreFailed,
    UkeyError,
)
from keyservice.core.reasons import Fact, Reason, Unfit
from keyservice.core.username import Person, file_name, is_file_name

from . import uniqueness
from .files import PrivateDirectory, Taken
from .people import NO_UID, Event, Kind, People, now
from .record_text import RECORD_MAX, parse, serialize
from .records import Binding, Purpose
from .revocations import Revocations

_NAME_MAX = 255  #: bytes of a file name (NAME_MAX of every file system in use)


class Bindings:
    """The records. Blocking, and safe from several threads; one process writes."""

    def __init__(self, folder: PrivateDirectory, people: People, revocations: Revocations) -> None:
        self._folder, self._people, self._revocations = folder, people, revocations
        self._writing = threading.RLock()

    def of(self, person: Person) -> tuple[Binding, ...]:
        """The bindings of `person`, none if it is proven that there is none.

        Raises as ``uniqueness.theirs``. As long as any record or history is damaged or gone,
        nobody is proven to have none: :class:`RecordDamaged`.
        """
        return self.own(person) or self.search(person)

    def own(self, person: Person) -> tuple[Binding, ...]:
        """What is in the record under the name of `person`: one small file, read quickly.

        Nothing there proves nothing yet. Raises :class:`RecordForeign` if it is another uid's.
        """
        return uniqueness.theirs(self._read(file_name(person.name)), person)

    def search(self, person: Person) -> tuple[Binding, ...]:
        """What is `person`'s, after a look at all: nothing proves that there is nothing."""
        everyone, damaged = self.all()
        found = uniqueness.theirs(everyone, person)
        if found:  # it was bound since :meth:`own`
            return found
        for error in damaged:
            raise error
        self.adopt(everyone)
        return ()

    def named(self, user: str) -> tuple[Binding, ...]:
        """What is in the record under the name `user`, whatever person has that name now."""
        return self._read(file_name(user))

    def all(self) -> tuple[list[Binding], list[UkeyError]]:
        """Every record, and an error for each that cannot be trusted or is gone.

        A history that cannot be trusted is one of the errors: it tells which records are gone.
        """
        bindings: list[Binding] = []
        damaged: list[UkeyError] = []
        names = self._folder.names()
        for name in names:
            try:
                if not is_file_name(name):
                    self._check_stray(name, names)
                    continue
                bindings += self._read(name)
            except (RecordDamaged, StoreFailed) as error:
                damaged.append(error)
        damaged += self._shared(bindings)
        for look in (self._revocations.all, self._people.bound):
            try:
                look()
            except (RecordDamaged, StoreFailed) as error:
                damaged.append(error)
                return bindings, damaged
        return bindings, damaged + self._gone(bindings)

    def strays(self) -> list[UkeyError]:
        """An error for each file that can be nobody's record, as an editor's backup: it counts for
        nothing, and keeps nobody out."""
        names = self._folder.names()
        found: list[UkeyError] = []
        for name in names:
            if is_file_name(name):
                continue
            with suppress(RecordDamaged, StoreFailed):  # else it is damage: see :meth:`all`
                self._check_stray(name, names)
                found.append(self._folder.damaged(name, Reason.STRAY))
        return found

    def _check_stray(self, name: str, names: list[str]) -> None:
        """Raise :class:`RecordDamaged` if the file is all that is known of somebody's ukey: a
        record that was renamed, of a person whom neither a record nor the history knows."""
        try:  # whoever may write it: it lets nobody in
            content = self._folder.read(name, RECORD_MAX, trusted=False)
            user = parse(content or b"")[0].user
        except (ValueError, RecordDamaged):
            return
        own = file_name(user)
        if own not in names and not self._people.lasts(user):
            raise self._folder.damaged(name, Reason.OTHER_NAME, file=own)

    def _shared(self, bindings: list[Binding]) -> Iterator[RecordDamaged]:
        """An error for each record with a ukey, or a key, that another one names too."""
        for pair in uniqueness.shared(bindings):
            for one, two in (pair, pair[::-1]):
                yield self._folder.damaged(file_name(one.user), Reason.SHARED, other=two.user)

    def gone(self) -> list[Event]:
        """All keys that are in no record though they were neither unbound nor revoked."""
        return [event for event in self._people.bound() if self._is_gone(event)]

    def incomplete(self, bindings: Sequence[Binding]) -> UkeyError | None:
        """Why nobody can tell whether these are all of a person's; None if they are."""
        keys, user = {each.fingerprint for each in bindings}, bindings[0].user
        try:
            for event in self._people.lasts(user):
                if event.event is Kind.BOUND and event.key not in keys and self._is_gone(event):
                    return self._missing(event)
        except UkeyError as error:
            return error
        return None

    def check_gone(self, user: str) -> None:
        """Raise :class:`RecordDamaged` if the record under the name `user` is gone."""
        for event in self.gone():
            if event.user == user:
                raise self._folder.damaged(file_name(user), Reason.GONE)

    def _gone(self, bindings: list[Binding]) -> list[RecordDamaged]:
        """An error for each record that is gone, and for each key that is gone from its record;
        few files have to be looked for."""
        there = {(each.user, each.fingerprint) for each in bindings}
        if all((event.user, event.key) in there for event in self._people.bound()):
            return []
        gone, users = self.gone(), {each.user for each in bindings}
        records = dict.fromkeys(each.user for each in gone if each.user not in users)
        return [self._folder.damaged(file_name(user), Reason.GONE) for user in records] + [
            self._missing(each) for each in gone if each.user in users
        ]

    def _missing(self, event: Event) -> RecordDamaged:
        lost = event.serial or event.key
        return self._folder.damaged(file_name(event.user), Reason.MISSING, lost=lost)

    def _is_gone(self, event: Event) -> bool:
        """Whether the key of a binding is in no record, and was neither unbound nor revoked."""
        try:
            found = self._read(file_name(event.user))
        except RecordDamaged:
            return False  # which is told
        return (
            all(each.fingerprint != event.key for each in found)
            and self._revocations.find(event.key) is None
            and event in self._people.lasts(event.user)  # not unbound meanwhile
        )

    def adopt(self, bindings: list[Binding], *, wait: bool = False) -> None:
        """Note records that came from elsewhere in the history, so that their loss is noticed.

        While another thread writes, which may hang, that is left to a later look, unless `wait`.
        """
        if not self._unknown(bindings) or not self._writing.acquire(blocking=wait):
            return
        try:
            # read again: a record may have been unbound meanwhile
            new = [
                _event(Kind.BOUND, each, each.bound_by, each.bound_at)
                for each in self._unknown(bindings)
                if each in self._read(file_name(each.user))
            ]
            if new:
                self._people.append(*new)
        finally:
            self._writing.release()

    def _unknown(self, bindings: Iterable[Binding]) -> list[Binding]:
        """The bindings that are not the last known event of their key under their names."""
        return [
            each
            for each in bindings
            if (last := self._people.last(each.user, each.fingerprint)) is None
            or last != _event(Kind.BOUND, each, last.by, last.at)
        ]

    def add(self, binding: Binding, *, limit: int = 1) -> None:
        """Store a new binding. As ``Records.add``."""
        self.add_all((binding,), {binding.purpose: limit})

    def add_all(self, bindings: Sequence[Binding], limits: Mapping[Purpose, int]) -> None:
        """Store new bindings, all or none; one ukey, one user. As ``Records.add_all``.

        Raises the error of a damaged record too: it might hold one of these ukeys or keys. Raises
        :class:`AlreadyBound`, :class:`RecordForeign` and :class:`StoreFailed`. Then the records are
        unchanged, or whole with the new ones if the disk failed at the very end.
        """
        with self._writing:
            everyone, damaged = self.all()
            before: dict[str, tuple[Binding, ...]] = {}
            for each in bindings:
                own = uniqueness.theirs(everyone, Person(each.user, each.uid))
                uniqueness.check_room(own, each, limits[each.purpose])
                uniqueness.check_free(everyone, **uniqueness.names(each))
                before.setdefault(each.user, own)
                everyone.append(each)
            for error in damaged:
                raise error
            written: list[str] = []
            try:
                for user, old in before.items():
                    new = (*old, *(each for each in bindings if each.user == user))
                    self._write(new, before=old)
                    written.append(user)
                self.adopt(list(bindings))
            except UkeyError:
                # else their loss would be noticed, and nobody let pass
                if len(self._unknown(bindings)) == len(bindings):
                    for user in written:
                        new = (*before[user], *(each for each in bindings if each.user == user))
                        self._write(before[user], before=new)
                raise

    def remove(self, binding: Binding, *, by: int = 0) -> None:
        """Remove `binding` alone; the history keeps that the person had that ukey.

        Raises :class:`NotEnrolled` if it is not the stored one any more.
        """
        name = file_name(binding.user)
        with self._writing:
            found = self._read(name)
            if binding not in found:
                raise NotEnrolled("The binding is gone or was changed", user=binding.user)
            self._people.append(_event(Kind.UNBOUND, binding, by, now()))
            self._write(tuple(each for each in found if each != binding), before=found)

    def discard(self, user: str, *, by: int = 0) -> None:
        """Remove the record under the name `user` that cannot be read, or is gone."""
        with self._writing:
            known = self._people.lasts(user)
            bound = [each for each in known if each.event is Kind.BOUND] or known[-1:]
            unbound = bound or [Event(Kind.UNBOUND, user, NO_UID, "", "", "", by)]
            self._people.append(
                *(replace(each, event=Kind.UNBOUND, at=now(), by=by) for each in unbound)
            )
            self._folder.remove(file_name(user))

    def _write(self, bindings: Sequence[Binding], *, before: Sequence[Binding]) -> None:
        """Write a record whose bindings were `before`; without bindings there is none."""
        name = file_name((*bindings, *before)[0].user)
        if not bindings:
            self._folder.remove(name)
            return
        try:
            content = serialize(bindings)
        except Unfit as error:
            path = f"{self._folder.path}/{name}"
            raise StoreFailed("Cannot write", **{"path": path, **error.facts}) from None
        if before:
            self._folder.replace(name, content)
            return
        try:
            self._folder.create(name, content)
        except Taken:
            raise AlreadyBound(Reason.HAS_UKEY, user=bindings[0].user) from None

    def _read(self, name: str) -> tuple[Binding, ...]:
        """What is in the record of that name; nothing if there is no record."""
        if len(name) > _NAME_MAX:
            return ()  # no file can have that name
        content = self._folder.read(name, RECORD_MAX)
        if content is None:
            return ()
        try:
            bindings = parse(content)
        except ValueError as error:
            facts: dict[str, Fact] = dict(error.facts) if isinstance(error, Unfit) else {}
            why = facts.pop("why", Reason.NO_JSON)
            raise self._folder.damaged(name, why, **facts) from None
        own = file_name(bindings[0].user)
        if own != name:
            raise self._folder.damaged(name, Reason.OTHER_NAME, file=own)
        return bindings


def _event(kind: Kind, binding: Binding, by: int, at: str) -> Event:
    return Event(kind, binding.user, binding.uid, binding.serial, binding.fingerprint, at, by)
