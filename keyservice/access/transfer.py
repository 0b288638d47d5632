# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Bindings as a document, for the next host: no secret is in it, and root vouches for what it says.

Names decide: a person has the uid that this host gives the name. Everything is looked at before
anything is kept, and what is here already, to the key, is no change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from keyservice.core import threads
from keyservice.core.errors import AlreadyBound, BadRequest, RecordForeign, UnknownUser
from keyservice.core.reasons import Fact, Reason, Unfit, carried
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.store import lines, uniqueness
from keyservice.store.people import now
from keyservice.store.record_text import bindings_of, fields
from keyservice.store.records import CREDENTIALS_MAX, Binding, Inventory, Purpose

from .services import Services
from .settings import Rules

FORMAT, VERSION = "ukey-bindings", 1
_FIELDS: dict[str, type] = {"format": str, "records": list}


class State(StrEnum):
    """What an import would do with a key."""

    NEW = "new"
    THERE = "there"  #: it is bound to the same person here, for the same purpose
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key in a document, as this host would keep it."""

    binding: Binding
    state: State
    uid_there: int  #: the uid that the document has
    why: Reason | None = None  #: if it is refused
    facts: dict[str, Fact] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Fact | bool]:
        """For an answer: the reason's name and its facts if it is refused."""
        why = {} if self.why is None else carried(self.why, self.facts)
        return {**key(self.binding), "uid_there": self.uid_there, "state": self.state.value, **why}


def key(binding: Binding) -> dict[str, Fact | bool]:
    """A row for a key that is in a document, or is left out."""
    return {
        "user": binding.user,
        "uid": binding.uid,
        "serial": binding.serial,
        "purpose": binding.purpose.value,
        "label": binding.label,
        "algorithm": binding.algorithm,
        "key": binding.fingerprint,
    }


def kept(inventory: Inventory) -> tuple[list[Binding], list[Binding]]:
    """The bindings with a sound key, and those whose key is revoked: the next host does not know
    that, so they stay here. Raises the error of what is damaged: it would be missing."""
    for error in inventory.damaged:
        raise error
    revoked = {each.key for each in inventory.revocations or ()}
    good = [each for each in inventory.bindings if each.fingerprint not in revoked]
    return good, [each for each in inventory.bindings if each.fingerprint in revoked]


def limits(rules: Rules) -> dict[Purpose, int]:
    """How many keys of each purpose a person may have."""
    return {Purpose.LOGIN: rules.ukeys_per_person, Purpose.SSH: CREDENTIALS_MAX}


async def entries(services: Services, text: str, by: int, budget: Budget) -> list[Entry]:
    """What keeping the keys in a document would do. `by`: the person who does it."""
    records = parse(text)
    inventory = await services.records.inventory(budget)
    for error in inventory.damaged:
        raise error
    planned = partial(plan, by_name=services.resolve, rules=services.rules, by=by)
    return await threads.call(budget, planned, records, inventory)


def new(found: Sequence[Entry]) -> list[Binding]:
    """The bindings to keep. Raises :class:`BadRequest` if there is one that is refused."""
    refused = sum(each.state is State.REFUSED for each in found)
    if refused:
        raise BadRequest(Reason.IMPORT_REFUSED, count=refused)
    return [each.binding for each in found if each.state is State.NEW]


def document(bindings: Iterable[Binding]) -> str:
    """The text for `bindings`, ASCII: a record on each line, as the records themselves have it."""
    people: dict[str, list[Binding]] = {}
    for each in bindings:
        people.setdefault(each.user, []).append(each)
    records = [json.dumps(fields(theirs)) for theirs in people.values()]
    head = json.dumps({"format": FORMAT, "version": VERSION})[:-1]
    return f'{head}, "records": [\n' + ",\n".join(records) + "\n]}\n"


def parse(text: str) -> list[tuple[Binding, ...]]:
    """The records in a document. Raises :class:`BadRequest`, with the number of the record."""
    number = 0
    try:
        found = lines.read(text.encode())
        lines.check_version(found, VERSION)
        found = lines.checked(found, _FIELDS)
        if found["format"] != FORMAT:
            raise Unfit(Reason.NO_DOCUMENT)
        records: list[tuple[Binding, ...]] = []
        for each in found["records"]:
            number = len(records) + 1
            if not isinstance(each, dict):
                raise Unfit(Reason.NO_JSON)
            records.append(bindings_of(each))
        if len({each[0].user for each in records}) < len(records):
            raise Unfit(Reason.TWICE)
    except Unfit as error:
        if number == 0:
            raise BadRequest(Reason.NO_DOCUMENT) from None
        why: dict[str, Fact] = {"number": number, "reason": error.facts["why"]}
        raise BadRequest(Reason.RECORD_UNFIT, **why) from None
    return records


def plan(
    records: Iterable[tuple[Binding, ...]],
    kept: Inventory,
    *,
    by_name: Callable[[str], Person],
    rules: Rules,
    by: int,
) -> list[Entry]:
    """What keeping the records here would do, key by key. Blocks as the name service does.

    `by`: the person who does it.
    """
    everyone = list(kept.bindings)
    revoked = {each.key for each in kept.revocations or ()}
    entries = []
    for bindings in records:
        for entry in _of(bindings, everyone, revoked, by_name, rules, by):
            entries.append(entry)
            if entry.state is State.NEW:
                everyone.append(entry.binding)
    return entries


def _of(
    bindings: tuple[Binding, ...],
    everyone: list[Binding],
    revoked: set[str],
    by_name: Callable[[str], Person],
    rules: Rules,
    by: int,
) -> Iterator[Entry]:
    user, there, most = bindings[0].user, bindings[0].uid, limits(rules)
    try:
        person = by_name(user)
    except (UnknownUser, BadRequest):
        for each in bindings:
            yield Entry(each, State.REFUSED, there, Reason.NOT_HERE)
        return
    for each in bindings:
        # what another host's makers vouched for is not taken over: those of this host have not
        here = replace(
            each, user=person.name, uid=person.uid, attested=False, bound_at=now(), bound_by=by
        )
        if here.fingerprint in revoked:
            yield Entry(here, State.REFUSED, there, Reason.KEY_REVOKED)
            continue
        if any(_same(here, other) for other in everyone):
            yield Entry(here, State.THERE, there)
            continue
        refused = _unaccepted(here, rules)
        if refused is not None:
            yield Entry(here, State.REFUSED, there, refused, {"algorithm": here.algorithm})
            continue
        try:
            theirs = uniqueness.theirs(everyone, person)
            uniqueness.check_free(everyone, **uniqueness.names(here))
            uniqueness.check_room(theirs, here, most[here.purpose])
        except AlreadyBound as error:
            facts = {"other": error.facts["user"], "limit": most[here.purpose]}
            room = error.reason is Reason.HAS_UKEY
            why = Reason.NO_ROOM if room else Reason.TAKEN_BY
            yield Entry(here, State.REFUSED, there, why, facts)
        except RecordForeign as error:
            facts = {"other": error.facts["record_user"]}
            yield Entry(here, State.REFUSED, there, Reason.FOREIGN, facts)
        else:
            yield Entry(here, State.NEW, there)


def _unaccepted(binding: Binding, rules: Rules) -> Reason | None:
    """Why a key that is new here would let nobody in; None if it would. Bound all the same, it
    would keep its person out."""
    if not rules.accepts(binding.algorithm):
        return Reason.NOT_ACCEPTED
    if binding.purpose is Purpose.LOGIN and rules.attested and not binding.attested:
        return Reason.ATTEST_RECORD
    return None


def _same(one: Binding, other: Binding) -> bool:
    return (one.user, one.uid, one.purpose, one.serial, one.fingerprint) == (
        other.user,
        other.uid,
        other.purpose,
        other.serial,
        other.fingerprint,
    )
