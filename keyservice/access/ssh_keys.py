# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Registering the ssh keys of people, and ending that. Root's work only (``policy``)."""

from __future__ import annotations

import re
from functools import partial

from keyservice.contract.names import Code, Flag
from keyservice.contract.steps import Detail, Verdict
from keyservice.core.errors import (
    BadRequest,
    KeyTaken,
    NotEnrolled,
    SshKeyAbsent,
    SshKeyRevoked,
)
from keyservice.core.reasons import WHY, Reason
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
from keyservice.crypto.ssh_keys import from_file
from keyservice.crypto.ssh_wire import NoSshKey, SshKey, spell
from keyservice.store.people import now
from keyservice.store.records import CREDENTIALS_MAX, Binding
from keyservice.store.records import Purpose as For
from keyservice.store.revocations import Revocation

from . import choosing, identity, lookups, tries
from .challenge import Purpose
from .context import Context
from .enrolment import check_default, check_pin_state, check_use, doer
from .factors.ssh_key import check_algorithm
from .messages import N_
from .proof import Proof

#: A fingerprint of ours, or as ssh shows it.
_FINGERPRINT = re.compile(r"[0-9a-f]{4,64}|SHA256:[A-Za-z0-9+/]{4,43}")


async def add(context: Context) -> Verdict:
    """Register a key of the requested person: the one in the request, or that of a ukey, which has
    to sign for it.

    Nothing is stored unless all is well: no other owner or purpose of the key, no revocation.
    """
    request = context.request
    person = await identity.identify(context)
    await identity.enrolled(context, person)  # what is damaged is told before anything is typed
    if request.public_key:
        binding, shown = await _from_file(context, person)
    else:
        binding, shown = await _from_ukey(context, person)
    context.key, context.ssh_key = binding.fingerprint, shown.fingerprint
    store = context.services.records.add
    await lookups.store(context, lambda budget: store(binding, budget, CREDENTIALS_MAX))
    detail: Detail = {"user": person.name, "ssh": shown.fingerprint, "key": binding.fingerprint}
    if binding.serial:
        detail["serial"] = binding.serial
    return Verdict(
        Code.SUCCESS, context.texts.ssh_key_added(person.name, shown.fingerprint), detail=detail
    )


async def _from_file(context: Context, person: Person) -> tuple[Binding, SshKey]:
    request = context.request
    if request.serial or request.application or request.container:
        raise BadRequest(N_("a key comes from a file or from a ukey, not from both"))
    try:
        shown = from_file(request.public_key)
    except NoSshKey as error:
        raise _unfit(error) from None
    assert shown.key is not None
    await _check(context, person, shown, shown.key)
    sk = shown.type.startswith("sk-")
    if not sk:
        await context.conversation.info(context.texts.ssh_key_vouched(shown.fingerprint))
    return _binding(context, person, shown.key, kind="sk" if sk else "ssh"), shown


async def _from_ukey(context: Context, person: Person) -> tuple[Binding, SshKey]:
    """As a binding for logins here: the ukey's PIN, and a trial signature."""
    handle = await choosing.ukey(context)
    ref, reserve = await choosing.key_pair(context, handle), tries.reserve(context)
    key = await handle.public_key(ref, lookups.deadline(context))
    try:
        shown = spell(key)
    except NoSshKey as error:
        raise _unfit(error) from None
    await _check(context, person, shown, key)
    await check_use(context, handle, ref)
    await check_pin_state(context, handle, ref, reserve)
    serial = handle.info.serial
    await tries.check_pause(context, handle, ref)
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(serial))
    proof = Proof(Purpose.BIND, person, handle, ref, key)
    await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
    seen = handle.known_pin(ref)
    if seen is not None:  # some ukeys tell only now, the PIN being right
        check_default(context, serial, seen)
    info = handle.info
    place = {"serial": serial, "application": ref.application, "container": ref.container}
    return _binding(context, person, key, kind=info.kind, **place), shown


def _unfit(error: NoSshKey) -> BadRequest:
    facts = dict(error.facts)
    why = facts.pop(WHY, "")
    reason = next((each for each in Reason if each == why), None)
    return BadRequest(reason or str(error), **facts)


async def _check(context: Context, person: Person, shown: SshKey, key: PublicKey) -> None:
    """Refuse a key that cannot be one, that somebody has, or that is revoked."""
    context.ssh_key = shown.fingerprint
    check_algorithm(context, shown.fingerprint, key.algorithm)
    await lookups.look_up(context, algorithms.check, key)
    name, records = algorithms.fingerprint(key), context.services.records
    kept = await records.inventory(lookups.budget(context))
    for error in kept.damaged:
        raise error
    for each in kept.bindings:
        if each.fingerprint == name:
            raise KeyTaken(user=each.user, ssh=shown.fingerprint)
    if await records.revocation(name, lookups.budget(context)) is not None:
        raise SshKeyRevoked(user=person.name, ssh=shown.fingerprint, key=name)


def _binding(
    context: Context,
    person: Person,
    key: PublicKey,
    *,
    kind: str,
    serial: str = "",
    application: str = "",
    container: str = "",
) -> Binding:
    return Binding(
        user=person.name,
        uid=person.uid,
        serial=serial,
        kind=kind,
        application=application,
        container=container,
        algorithm=key.algorithm,
        public_key=key.encoded.hex(),
        attested=False,
        bound_at=now(),
        bound_by=doer(context.caller),
        purpose=For.SSH,
    )


async def remove(context: Context) -> Verdict:
    """Remove a key of the requested person; by force it is revoked first, which is on the disk
    before the record goes."""
    wanted, records = context.request.key, context.services.records
    if not _FINGERPRINT.fullmatch(wanted):
        raise BadRequest(
            N_("a fingerprint is hexadecimal digits, or SHA256: as ssh shows it; 4 of them will do")
        )
    name = await identity.record_name(context)
    try:
        theirs = await records.named(name, lookups.budget(context))
    except NotEnrolled:
        theirs = ()
    fitting = [each for each in theirs if _fits(each, wanted)]
    if not fitting:
        raise SshKeyAbsent(user=name, key=wanted)
    if len(fitting) > 1:
        raise BadRequest(N_("several of the ssh keys fit that fingerprint: give more of it"))
    (binding,) = fitting
    key, ssh, by = binding.fingerprint, spell(binding.key).fingerprint, doer(context.caller)
    context.key, context.ssh_key, context.serial = key, ssh, binding.serial
    force = Flag.FORCE in context.request.flags
    if force:
        event = Revocation(key, True, now(), by, binding.user, binding.serial)
        await lookups.store(context, partial(records.revoke, event))
    await lookups.store(context, partial(records.remove, binding, by))
    text = context.texts.ssh_key_removed(name, ssh, key if force else "")
    return Verdict(Code.SUCCESS, text, detail={"user": name, "ssh": ssh, "key": key})


def _fits(binding: Binding, wanted: str) -> bool:
    """Whether it is an ssh key whose fingerprint, ours or ssh's, begins so."""
    if binding.purpose is not For.SSH:
        return False
    return any(
        each.startswith(wanted) for each in (binding.fingerprint, spell(binding.key).fingerprint)
    )
