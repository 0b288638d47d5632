# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who the person is, where they sit, and which ukey is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from keyservice.core.errors import (
    BadRequest,
    NotEnrolled,
    RecordDamaged,
    RecordForeign,
    RecordsUnclear,
    Revoked,
    UidShared,
    UnknownUser,
)
from keyservice.core.username import Person, file_name
from keyservice.store.records import Enrolment, Held, Purpose

from . import locality, lookups, policy, vouching
from .context import Context
from .messages import N_


async def identify(context: Context) -> Person:
    """The person that the request names, if the caller may act for them.

    Without a name it is the caller, for operations on a PIN only. Raises :class:`UnknownUser`,
    :class:`NotAllowed`, :class:`BadRequest`, :class:`LookUpLate`.
    """
    name = context.request.user
    if name:
        person = await lookups.look_up(context, context.services.resolve, name)
    elif context.request.operation.named:
        raise BadRequest(N_("the request names no user"))
    else:
        person = await lookups.look_up(context, context.services.resolve_uid, context.caller.uid)
    policy.check_own(context.caller, person)
    context.person = person
    return person


def judge(context: Context) -> locality.Place:
    """Local or remote, once and for all for this context."""
    if context.place is None:
        context.place = locality.judge(
            context.caller,
            context.request,
            context.services.rules.local_ttys,
            context.services.logind,
        )
    return context.place


async def enrolled(context: Context, person: Person) -> Enrolment | None:
    """The person's credentials, once and for all for this context; None if it is proven that there
    are none, of any purpose."""
    if context.enrolled is None or context.enrolled[0] != person:
        context.enrolled = person, await _enrolled(context, person)
    return context.enrolled[1]


async def held(context: Context, person: Person, purpose: Purpose) -> tuple[Held, ...]:
    """The person's credentials with this purpose; empty if it is proven that there are none."""
    enrolment = await enrolled(context, person)
    return enrolment.of(purpose) if enrolment is not None else ()


async def record_name(context: Context) -> str:
    """The name whose record is meant; a user who is gone from the host may still have one."""
    try:
        return (await identify(context)).name
    except UnknownUser:
        return context.request.user


async def _enrolled(context: Context, person: Person) -> Enrolment | None:
    try:
        return await context.services.records.enrolled(person, lookups.budget(context))
    except RecordForeign as error:
        if await _is_shared(context, error, person):
            raise UidShared("", **error.facts) from None
        raise
    except RecordDamaged as error:
        if PurePath(str(error.facts.get("path"))).name != file_name(person.name):
            raise RecordsUnclear(error.message, **{**error.facts, "user": person.name}) from None
        raise


async def _is_shared(context: Context, error: RecordForeign, person: Person) -> bool:
    """Whether the record's user is there too, with the same uid: nobody was renamed then."""
    facts = error.facts
    if facts["record_uid"] != person.uid:
        return False
    try:
        other = await lookups.look_up(context, context.services.resolve, str(facts["record_user"]))
    except (UnknownUser, BadRequest):
        return False
    return other == Person(str(facts["record_user"]), person.uid)


async def check_still(context: Context, held: Held) -> None:
    """Check again after a prompt: it may have stood for a minute, in which root may have unbound
    or revoked.

    Raises :class:`NotEnrolled` and :class:`Revoked`.
    """
    now = await context.services.records.still(held, lookups.budget(context))
    if now is None:
        user = held.binding.user
        raise NotEnrolled("The binding was changed meanwhile", user=user)
    check_revoked(now)


async def check_never_had(context: Context, person: Person, but: Sequence[Held] = ()) -> None:
    """Return if `person` never had a ukey here; ``nouserok`` is for those alone.

    `but`: their ssh keys, which are no ukeys, where a ukey is all that is asked for. Raises
    :class:`NotEnrolled` if one was unbound, or lost.
    """
    keys = [each.binding.fingerprint for each in but]
    event = await context.services.records.had(person, lookups.budget(context), keys)
    if event is not None:
        raise NotEnrolled(
            "The user had a ukey: see ukey forget",
            user=event.user,
            uid=event.uid,
            serial=event.serial,
            since=event.at,
        )


def check_accepted(context: Context, held: Held) -> None:
    """Raise as :func:`check_revoked`, :class:`AlgorithmRefused`, and as ``check_recorded``."""
    check_revoked(held)
    binding = held.binding
    policy.check_algorithm(context.services.rules, binding.algorithm, binding.serial)
    vouching.check_recorded(context, binding)


def check_revoked(held: Held) -> None:
    """A revocation wins over any record. Raises :class:`Revoked`, and why it cannot be told."""
    binding = held.binding
    if held.damage is not None:
        raise held.damage
    if held.revoked:
        raise Revoked(serial=binding.serial, key=binding.fingerprint, user=binding.user)
