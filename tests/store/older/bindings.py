# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who owns which ukey: one record per person, a text file that can be read and compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from keyservice.core.errors import (
    AlreadyBound,
    NotEnrolled,
    RecordDamaged,
    StoreFailed,
    UkeyError,
)
from keyservice.core.reasons import Fact, Reason, Unfit
from keyservice.core.username import Person, check, file_name, is_file_name
from keyservice.crypto import algorithms
from keyservice.store.files import PrivateDirectory, Taken
from keyservice.store.revocations import Revocations

from . import lines, uniqueness
from .people import NO_UID, Event, Kind, People, now
from .records import Binding

VERSION = 1
RECORD_MAX = 8192  #: bytes
_NAME_MAX = 255  #: bytes of a file name (NAME_MAX of every file system in use)


class Bindings:
    """The records. Blocking, and safe from several threads; one process writes."""

    def __init__(self, folder: PrivateDirectory, people: People, revocations: Revocations) -> None:
        self._folder, self._people, self._revocations = folder, people, revocations
        self._writing = threading.RLock()

    def of(self, person: Person) -> Binding | None:
        """The binding of `person`, or None if it is proven that there is none.

        Raises as ``uniqueness.theirs``. As long as any record or history is damaged or gone,
        nobody is proven to have none: :class:`RecordDamaged`.
        """
        return self.own(person) or self.search(person)

    def own(self, person: Person) -> Binding | None:
        """The record under the name of `person`: one small file, which is read quickly.

        None proves nothing yet. Raises :class:`RecordForeign` if it is another uid's.
        """
        own = self._read(file_name(person.name))
        return None if own is None else uniqueness.theirs([own], person)

    def search(self, person: Person) -> Binding | None:
        """The record of `person`, after a look at all: None proves that there is none."""
        everyone, damaged = self.all()
        found = uniqueness.theirs(everyone, person)
        if found is not None:  # it was bound since :meth:`own`
            return found
        for error in damaged:
            raise error
        self.adopt(everyone)
        return None

    def named(self, user: str) -> Binding | None:
        """The record under the name `user`, whatever person has that name now. For removing it."""
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
                binding = self._read(name)
            except (RecordDamaged, StoreFailed) as error:
                damaged.append(error)
            else:
                if binding is not None:  # removed meanwhile
                    bindings.append(binding)
        damaged += self._shared(bindings)
        for look in (self._revocations.all, self._people.bound):
            try:
                look()
            except (RecordDamaged, StoreFailed) as error:
                damaged.append(error)
                return bindings, damaged
        return bindings, damaged + [self._folder.damaged(*each) for each in self._gone(bindings)]

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
            binding = parse(content or b"")
        except (ValueError, RecordDamaged):
            return
        own = file_name(binding.user)
        if own not in names and self._people.last(binding.user) is None:
            raise self._folder.damaged(name, Reason.OTHER_NAME, file=own)

    def _shared(self, bindings: list[Binding]) -> Iterator[RecordDamaged]:
        """An error for each record whose ukey, or key, another one names too."""
        for pair in uniqueness.shared(bindings):
            for one, two in (pair, pair[::-1]):
                yield self._folder.damaged(file_name(one.user), Reason.SHARED, other=two.user)

    def gone(self) -> list[Event]:
        """All people whose record is gone though their ukey was neither unbound nor revoked."""
        return [
            event
            for event in self._people.bound()
            if not self._there(file_name(event.user))
            and self._revocations.find(event.key) is None
            and self._people.last(event.user) == event  # not unbound meanwhile
        ]

    def check_gone(self, user: str) -> None:
        """Raise :class:`RecordDamaged` if the record under the name `user` is gone."""
        for event in self.gone():
            if event.user == user:
                raise self._folder.damaged(file_name(user), Reason.GONE)

    def _gone(self, bindings: list[Binding]) -> list[tuple[str, str]]:
        """(file name, reason) of each record that is gone; few files have to be looked for."""
        there = {binding.user for binding in bindings}
        if all(event.user in there for event in self._people.bound()):
            return []
        return [(file_name(event.user), Reason.GONE) for event in self.gone()]

    def _there(self, name: str) -> bool:
        try:
            return self._folder.read(name, RECORD_MAX) is not None
        except RecordDamaged:
            return True

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
                if self._read(file_name(each.user)) == each
            ]
            if new:
                self._people.append(*new)
        finally:
            self._writing.release()

    def _unknown(self, bindings: list[Binding]) -> list[Binding]:
        """The bindings that are not the last known event under their names."""
        lasts = self._people.lasts()
        return [
            each
            for each in bindings
            if (last := lasts.get(each.user)) is None
            or last != _event(Kind.BOUND, each, last.by, last.at)
        ]

    def check_free(self, serial: str, key: str) -> None:
        """Raise as ``uniqueness.check_free``.

        Raises the error of a damaged record too: it might hold that ukey or key.
        """
        everyone, damaged = self.all()
        uniqueness.check_free(everyone, serial=serial, key=key)
        for error in damaged:
            raise error

    def add(self, binding: Binding) -> None:
        """Store a new binding. One user, one ukey; one ukey, one user.

        Raises :class:`AlreadyBound`, :class:`RecordForeign` and :class:`StoreFailed`. Then the
        records are unchanged, or whole with the new one if the disk failed at the very end.
        """
        person = Person(binding.user, binding.uid)
        with self._writing:
            existing = self.of(person)
            if existing is not None:
                raise AlreadyBound(Reason.HAS_UKEY, user=existing.user, serial=existing.serial)
            self.check_free(binding.serial, binding.fingerprint)
            name = file_name(binding.user)
            try:
                self._folder.create(name, serialize(binding))
            except Taken:
                raise AlreadyBound(Reason.HAS_UKEY, user=binding.user) from None
            try:
                self.adopt([binding])
            except UkeyError:
                if self._unknown([binding]):  # else its loss would be noticed, and nobody let pass
                    self._folder.remove(name)
                raise

    def remove(self, binding: Binding, *, by: int = 0) -> None:
        """Remove `binding`; the history keeps that the person had a ukey.

        Raises :class:`NotEnrolled` if it is not the stored one any more.
        """
        name = file_name(binding.user)
        with self._writing:
            if self._read(name) != binding:
                raise NotEnrolled("The binding is gone or was changed", user=binding.user)
            self._people.append(_event(Kind.UNBOUND, binding, by, now()))
            self._folder.remove(name)

    def discard(self, user: str, *, by: int = 0) -> None:
        """Remove the record under the name `user` that cannot be read, or is gone."""
        with self._writing:
            known = self._people.last(user) or Event(Kind.UNBOUND, user, NO_UID, "", "", "", by)
            self._people.append(replace(known, event=Kind.UNBOUND, at=now(), by=by))
            self._folder.remove(file_name(user))

    def _read(self, name: str) -> Binding | None:
        if len(name) > _NAME_MAX:
            return None  # no file can have that name
        content = self._folder.read(name, RECORD_MAX)
        if content is None:
            return None
        try:
            binding = parse(content)
        except ValueError as error:
            facts: dict[str, Fact] = dict(error.facts) if isinstance(error, Unfit) else {}
            why = facts.pop("why", Reason.NO_JSON)
            raise self._folder.damaged(name, why, **facts) from None
        own = file_name(binding.user)
        if own != name:
            raise self._folder.damaged(name, Reason.OTHER_NAME, file=own)
        return binding


def _event(kind: Kind, binding: Binding, by: int, at: str) -> Event:
    return Event(kind, binding.user, binding.uid, binding.serial, binding.fingerprint, at, by)


def serialize(binding: Binding) -> bytes:
    """The record's text: JSON, one field a line, ASCII."""
    return lines.encode(VERSION, binding, indent=2)


def parse(content: bytes) -> Binding:
    """The binding in a record's text. Raises :class:`Unfit`."""
    binding = Binding(**lines.decode(content, VERSION, Binding))
    _check(binding)
    return binding


def _check(binding: Binding) -> None:
    try:
        check(binding.user)
    except UkeyError as error:
        raise Unfit(error.reason or Reason.USER_CHARACTERS) from None
    if not 0 <= binding.uid < 2**32 - 1 or not -1 <= binding.bound_by < 2**32:
        raise Unfit(Reason.UID)
    if not binding.serial or not binding.kind:
        raise Unfit(Reason.EMPTY)
    _check_key(binding)
    try:
        datetime.fromisoformat(binding.bound_at)
    except ValueError:
        raise Unfit(Reason.TIME) from None


def _check_key(binding: Binding) -> None:
    if binding.algorithm not in algorithms.ALGORITHMS:
        raise Unfit(Reason.ALGORITHM)
    try:
        key = binding.key
    except ValueError:
        raise Unfit(Reason.KEY) from None
    if len(binding.public_key) != 2 * len(key.encoded):  # bytes.fromhex ignores spaces
        raise Unfit(Reason.KEY)
    if not algorithms.has_form(key):
        raise Unfit(Reason.KEY)
