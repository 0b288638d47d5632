# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who had a ukey on this host: a history of what was bound and unbound.

Two things follow from it. The loss of a record that was not unbound is noticed. And a person whose
ukey was unbound, or lost, is told from people who never had one: ``nouserok`` is for the latter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from keyservice.core.reasons import Reason
from keyservice.core.username import Person

from . import lines
from .files import PrivateDirectory
from .history import History, ended
from .witness import Witness

VERSION = 1
FILE = "people"
FILE_MAX = 16 * 1024 * 1024  #: bytes; some 60,000 lines
NO_UID = -1  #: if the uid is not known


class Kind(StrEnum):
    BOUND = "bound"
    UNBOUND = "unbound"
    FORGOTTEN = "forgotten"  #: as if there had never been a ukey
    ACCEPTED = "accepted"  #: somebody accepted the state as it was, whatever was lost


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the history."""

    event: Kind
    user: str
    uid: int
    serial: str  #: the ukey's
    key: str  #: fingerprint of its public key; empty if it is not known
    at: str  #: UTC, ISO 8601
    by: int  #: the login uid, or else the uid, of the person who did it


class _Known:
    """What follows from the lines."""

    def __init__(self) -> None:
        #: the last of each key that was bound or unbound under a name, oldest first
        self.last: dict[str, dict[str, Event]] = {}
        #: everybody who had one, by name and uid
        self.had: dict[tuple[str, int], Event] = {}
        self.keys: set[str] = set()

    def add(self, event: Event) -> None:
        match event.event:
            case Kind.BOUND | Kind.UNBOUND:
                keys = self.last.setdefault(event.user, {})
                keys.pop(event.key, None)
                keys[event.key] = event
                self.had[event.user, event.uid] = event
                self.keys.add(event.key)
            case Kind.FORGOTTEN:
                for user, uid in _of(self.had, event.user, event.uid):
                    known = self.had.pop((user, uid))
                    if user == event.user:
                        self.last.pop(user, None)
                    else:  # the number is; the person of that name still had a ukey
                        self.had[user, NO_UID] = known
            case Kind.ACCEPTED:
                pass


def _of(had: Iterable[tuple[str, int]], user: str, uid: int) -> list[tuple[str, int]]:
    """Those of `had` that are `user` by name, or by a uid that is known."""
    return [pair for pair in had if pair[0] == user or pair[1] == uid != NO_UID]


class People:
    """The history and what follows from it. Blocking, and safe from several threads."""

    def __init__(self, folder: PrivateDirectory, witness: Witness) -> None:
        self.history = History(folder, FILE, FILE_MAX, witness)
        self._known: tuple[bytes, _Known] = (b"", _Known())

    def last(self, user: str, key: str) -> Event | None:
        """The last binding or unbinding of the key with this fingerprint under the name `user`."""
        return self._current().last.get(user, {}).get(key)

    def lasts(self, user: str) -> list[Event]:
        """The last binding or unbinding of each key under the name `user`, oldest first."""
        return list(self._current().last.get(user, {}).values())

    def had(self, person: Person, but: Collection[str] = ()) -> Event | None:
        """The last event of a ukey of `person`, by name or by uid; None: they never had one.

        `but`: the fingerprints of keys that do not count. An earlier key of theirs does.
        """
        found = [*self.lasts(person.name), *self.known(person.name, person.uid)]
        return next((each for each in reversed(found) if each.key not in but), None)

    def known(self, user: str, uid: int) -> list[Event]:
        """All events of people of that name or uid, oldest first."""
        had = self._current().had
        return [had[pair] for pair in _of(had, user, uid)]

    def bound(self) -> list[Event]:
        """All keys that are bound, each with the person whose it is."""
        everyone = self._current().last.values()
        return [each for keys in everyone for each in keys.values() if each.event is Kind.BOUND]

    def keys(self) -> set[str]:
        """The fingerprints of all keys that were ever bound."""
        return self._current().keys

    def append(self, *events: Event) -> None:
        """Add lines; they are on the disk when this returns. Raises :class:`StoreFailed`."""
        self._current()
        self.history.append(b"".join(lines.encode(VERSION, event) for event in events))

    def accepted(self) -> bytes:
        """As ``Revocations.accepted``."""
        return ended(self.history.raw(), self._parse)

    def _current(self) -> _Known:
        content, known = self.history.read(), self._known
        if content != known[0]:
            known = self._known = content, self._parse(content)
        return known[1]

    def _parse(self, content: bytes) -> _Known:
        known = _Known()
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                known.add(_parse_line(line))
            except (ValueError, RecursionError):
                damaged = self.history.folder.damaged
                raise damaged(FILE, Reason.EVENT, number=number) from None
        return known


def now() -> str:
    """The present time for a line: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_line(line: bytes) -> Event:
    fields = lines.decode(line, VERSION, Event)
    return Event(**{**fields, "event": Kind(fields["event"])})
