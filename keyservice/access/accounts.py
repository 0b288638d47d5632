# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether the people in the records are still the people of this host, for lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from keyservice.core.errors import BadRequest, UnknownUser
from keyservice.core.username import Person
from keyservice.store.records import Binding


class Account(StrEnum):
    """What became of the user of a record."""

    THERE = "there"
    GONE = "gone"  #: neither the name nor the number is anybody's
    RENUMBERED = "renumbered"  #: the name has another number: made again, or another's
    TAKEN = "taken"  #: the name is gone, and another name has the number


Facts = dict[str, str | int]


def look(
    bindings: Iterable[Binding],
    by_name: Callable[[str], Person],
    by_uid: Callable[[int], Person],
) -> dict[str, Facts]:
    """For each user of a record: ``account``, and ``uid_now`` or ``user_now`` where another has the
    name or the number. Blocks as long as the name service does."""
    return {each.user: _of(each, by_name, by_uid) for each in bindings}


def _of(
    binding: Binding, by_name: Callable[[str], Person], by_uid: Callable[[int], Person]
) -> Facts:
    try:
        person = by_name(binding.user)
        if person.uid == binding.uid:
            return {"account": Account.THERE.value}
        return {"account": Account.RENUMBERED.value, "uid_now": person.uid}
    except (UnknownUser, BadRequest):
        pass
    try:
        return {"account": Account.TAKEN.value, "user_now": by_uid(binding.uid).name}
    except (UnknownUser, BadRequest):
        return {"account": Account.GONE.value}
