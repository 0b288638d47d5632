# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One person, one ukey, one key: which bindings exclude each other. Every store asks this.

A person is a name and a uid, and a record counts for whoever has one of the two: but it lets nobody
in who has not both. A ukey is known by its serial, a key by its fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keyservice.core.errors import AlreadyBound, RecordForeign
from keyservice.core.username import Person

from .records import Binding


def theirs(bindings: Iterable[Binding], person: Person) -> Binding | None:
    """The binding of `person`: the one under their name, or else one under their uid.

    Raises :class:`RecordForeign` if only one of the two fits: the name was given to another uid,
    or the uid has another name now.
    """
    everyone = list(bindings)
    named = (each for each in everyone if each.user == person.name)
    found = next(named, None) or next((each for each in everyone if each.uid == person.uid), None)
    if found is not None and (found.user, found.uid) != (person.name, person.uid):
        raise RecordForeign(
            user=person.name, uid=person.uid, record_user=found.user, record_uid=found.uid
        )
    return found


def check_free(bindings: Iterable[Binding], *, serial: str = "", key: str = "") -> None:
    """Raise :class:`AlreadyBound` if one of `bindings` has the ukey or the key.

    `serial`: the ukey's. `key`: the key's fingerprint. Both are for the asking: empty is none.
    """
    for each in bindings:
        if each.serial == serial or each.fingerprint == key:
            raise AlreadyBound(user=each.user, serial=each.serial)


def shared(bindings: Iterable[Binding]) -> Iterator[tuple[Binding, Binding]]:
    """Each binding whose ukey or key an earlier one has, and that one."""
    first: dict[str, Binding] = {}
    for each in bindings:
        names = (each.serial, each.fingerprint)
        for other in dict.fromkeys(first.setdefault(name, each) for name in names):
            if other is not each:
                yield each, other
