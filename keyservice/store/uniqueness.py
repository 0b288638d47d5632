# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which bindings exclude each other. Every store asks this.

A person is a name and a uid, and a record counts for whoever has one of the two: but it lets nobody
in who has not both. A ukey, known by its serial, is one person's, and has one key for a purpose. A
key, known by its fingerprint, is bound once on a host: it has one owner and one purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from keyservice.core.errors import AlreadyBound, RecordForeign
from keyservice.core.reasons import Reason
from keyservice.core.username import Person

from .records import CREDENTIALS_MAX, Binding, Purpose


class Names(TypedDict):
    """What :func:`check_free` asks for. A serial or a key that is empty is none."""

    user: str
    purpose: Purpose
    serial: str
    key: str  #: its fingerprint


def names(binding: Binding) -> Names:
    return {
        "user": binding.user,
        "purpose": binding.purpose,
        "serial": binding.serial,
        "key": binding.fingerprint,
    }


def theirs(bindings: Iterable[Binding], person: Person) -> tuple[Binding, ...]:
    """The bindings of `person`: those under their name, or else those under their uid.

    Raises :class:`RecordForeign` if only one of the two fits: the name was given to another uid,
    or the uid has another name now.
    """
    everyone = list(bindings)
    named = tuple(each for each in everyone if each.user == person.name)
    found = named or tuple(each for each in everyone if each.uid == person.uid)
    for each in found:
        if (each.user, each.uid) != (person.name, person.uid):
            raise RecordForeign(
                user=person.name, uid=person.uid, record_user=each.user, record_uid=each.uid
            )
    return found


def check_free(
    bindings: Iterable[Binding],
    *,
    serial: str = "",
    key: str = "",
    user: str = "",
    purpose: Purpose = Purpose.LOGIN,
) -> None:
    """Raise :class:`AlreadyBound` if one of `bindings` has the ukey or the key.

    `serial`: the ukey's. `key`: the key's fingerprint. Both are for the asking: empty is none.
    `user`, `purpose`: whose it would be, and for what: a ukey of theirs may have another key for
    another purpose.
    """
    for each in bindings:
        theirs_too = each.user == user and each.purpose is not purpose
        if (serial and each.serial == serial and not theirs_too) or each.fingerprint == key:
            raise AlreadyBound(user=each.user, serial=each.serial)


def check_room(theirs: Sequence[Binding], binding: Binding, limit: int) -> None:
    """Raise :class:`AlreadyBound` if `theirs` are `limit` bindings with the purpose of this one, or
    as many as a record holds."""
    same = [each for each in theirs if each.purpose is binding.purpose]
    if len(same) >= min(limit, CREDENTIALS_MAX):
        raise AlreadyBound(Reason.HAS_UKEY, user=same[0].user, serial=same[0].serial)


def shared(bindings: Iterable[Binding]) -> Iterator[tuple[Binding, Binding]]:
    """Each binding whose ukey or key an earlier one has, and that one."""
    ukeys: dict[str, Binding] = {}
    keys: dict[str, Binding] = {}
    for each in bindings:
        found = [keys.setdefault(each.fingerprint, each)]
        if each.serial:
            other = ukeys.setdefault(each.serial, each)
            if other.user != each.user or other.purpose is each.purpose:
                found.append(other)
        for other in dict.fromkeys(found):
            if other is not each:
                yield each, other
