# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ending a binding. Root's work only (``policy``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from keyservice.contract.names import RECORDS_DIR, Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    ChangeLate,
    HalfUnbound,
    LookUpLate,
    NotAllRevoked,
    NotBound,
    NotEnrolled,
    NotRevoked,
    RecordDamaged,
    RemovalLate,
    StoreFailed,
    UkeyError,
)
from keyservice.core.reasons import Reason
from keyservice.core.username import Person
from keyservice.store import records
from keyservice.store.people import Kind, now
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation

from . import choosing, identity, lookups, presence, tries
from .challenge import Purpose
from .context import Context
from .enrolment import doer
from .messages import UkeyName, ukey_name
from .proof import Proof

#: What keeps a change from the disk.
_STORES = (StoreFailed, RecordDamaged, LookUpLate)

Detail = dict[str, str | int | bool]


@presence.used
async def unbind(context: Context) -> Verdict:
    """Remove a ukey's binding: with the ukey and its PIN, or by force.

    With the ukey: the named one, the one that is inserted, or one that root chooses. By force: the
    named one, or else all that the person has, ssh keys too. Force is for lost ukeys: the keys are
    revoked first, and that is on the disk before the record goes. The same holds for a record that
    cannot be read, or is gone, as far as it is known which keys were in it. With a ukey go all its
    keys. The history keeps that the person had a ukey.
    """
    force, serial = Flag.FORCE in context.request.flags, context.request.serial
    name = await identity.record_name(context)
    try:
        bindings = await context.services.records.named(name, lookups.budget(context))
    except RecordDamaged:
        if not force or serial:  # nobody can take one out of a record that cannot be read
            raise
        return await _discard(context, name)
    if serial:
        bindings = _named(bindings, name, serial)
    if force:
        return await _by_force(context, bindings)
    return await _with_ukey(context, name, bindings)


def _named(bindings: Sequence[Binding], name: str, serial: str) -> tuple[Binding, ...]:
    """The keys of the one ukey that `serial` names. Raises :class:`NotBound`, and
    :class:`BadRequest` if several fit."""
    found = choosing.by_serial(bindings, serial)
    if not found:
        raise NotBound(user=name, serial=serial)
    return tuple(found)


async def _by_force(context: Context, bindings: Sequence[Binding]) -> Verdict:
    user = bindings[0].user
    keys = [each.fingerprint for each in bindings]
    ukeys = list(dict.fromkeys(map(_name, bindings)))
    context.serial = ", ".join(ukeys)
    detail: Detail = {"user": user, "serial": "\n".join(ukeys), "key": "\n".join(keys)}
    for number, each in enumerate(bindings):
        await _revoke(context, keys[number], user, each.serial, others=number > 0)
    for each in bindings:
        await _remove(context, each, revoked=True)
    if len(bindings) == 1:
        return Verdict(
            Code.SUCCESS, context.texts.revoked(user, _shown(bindings[0]), keys[0]), detail=detail
        )
    shown: dict[UkeyName, None] = dict.fromkeys(map(_shown, bindings))
    return Verdict(Code.SUCCESS, context.texts.all_revoked(user, list(shown)), detail=detail)


async def _with_ukey(context: Context, name: str, bindings: Sequence[Binding]) -> Verdict:
    login = [each for each in bindings if each.purpose is records.Purpose.LOGIN]
    if not login:
        raise NotEnrolled(user=name)
    binding = await _prove(context, login)
    others = [each for each in bindings if each.serial == binding.serial and each != binding]
    for each in (*others, binding):  # last the one that this can be done with again
        await _remove(context, each)
    return Verdict(
        Code.SUCCESS,
        context.texts.unbound(binding.user, _shown(binding)),
        detail={"user": binding.user, "serial": binding.serial},
    )


async def _remove(context: Context, binding: Binding, *, revoked: bool = False) -> None:
    remove = context.services.records.remove
    try:
        await lookups.store(context, partial(remove, binding, doer(context.caller)))
    except _STORES as error:
        if not revoked:
            raise
        who = {"user": binding.user, "serial": _name(binding)}
        raise await _half(context, error, binding.fingerprint, who) from error


async def _discard(context: Context, name: str) -> Verdict:
    """Remove the record that cannot be used any more; revoke the keys known to be in it."""
    records = context.services.records
    events = await records.lasts(name, lookups.budget(context))
    known = [each for each in events if each.event is Kind.BOUND and each.key]
    serials = list(dict.fromkeys(each.serial for each in known))
    detail: Detail = {"user": name}
    text = context.texts.discarded(name)
    for number, each in enumerate(known):
        await _revoke(context, each.key, name, each.serial, others=number > 0)
    if known:
        context.serial = ", ".join(serials)
        detail |= {"serial": "\n".join(serials), "key": "\n".join(each.key for each in known)}
        text = context.texts.all_revoked(name, [ukey_name(each) for each in serials])
    if len(known) == 1:
        text = context.texts.revoked(name, ukey_name(serials[0]), known[0].key)
    try:
        await lookups.store(context, partial(records.discard, name, doer(context.caller)))
    except _STORES as error:
        if known:
            who = {"user": name, "serial": known[0].serial}
            raise await _half(context, error, known[0].key, who) from error
        raise
    return Verdict(Code.SUCCESS, text, detail=detail)


async def _half(
    context: Context,
    error: UkeyError,
    key: str,
    who: Mapping[str, str | int],
    *,
    others: bool = False,
) -> UkeyError:
    """`error`, which ended an unbinding by force, as the error that says how far that had come.

    `who`: user and serial. `others`: other keys of theirs are revoked already.
    """
    try:
        revoked = await context.services.records.revocation(key, lookups.budget(context))
    except UkeyError:
        return error  # nobody knows
    facts = {"path": RECORDS_DIR, "why": Reason.DISK_LATE.value, **error.facts, **who}
    if isinstance(error, ChangeLate):
        return RemovalLate(error.message, **facts)
    if revoked is not None:
        return HalfUnbound(error.message, **facts)
    return (NotAllRevoked if others else NotRevoked)(error.message, **facts)


async def _revoke(context: Context, key: str, user: str, serial: str, *, others: bool) -> None:
    event = Revocation(key, True, now(), doer(context.caller), user, serial)
    try:
        await lookups.store(context, partial(context.services.records.revoke, event))
    except ChangeLate:  # nobody knows
        raise
    except _STORES as error:
        who = {"user": user, "serial": serial or key}
        raise await _half(context, error, key, who, others=others) from error


async def _prove(context: Context, bindings: Sequence[Binding]) -> Binding:
    """Have one of the ukeys sign, and return its binding: this proves that the person who unbinds
    it holds it."""
    reserve = tries.reserve(context)
    binding, handle = await choosing.own(context, bindings)
    ref = presence.ref_of(binding)
    await presence.check_key(context, handle, binding)
    await tries.check_pause(context, handle, ref)
    await tries.check_tries(context, handle, ref, reserve)
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(_shown(binding)))
    person = Person(binding.user, binding.uid)
    proof = Proof(Purpose.BIND, person, handle, ref, binding.key)
    await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
    return binding


def _name(binding: Binding) -> str:
    """The ukey's serial; for an ssh key that is on none here, its label or its fingerprint."""
    return binding.serial or binding.label or binding.fingerprint


def _shown(binding: Binding) -> UkeyName:
    return ukey_name(_name(binding), binding.label if binding.serial else "")
