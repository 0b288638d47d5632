# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Binding a ukey to a person, and ending that. Root's work only (``policy``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from keyservice.contract.names import RECORDS_DIR, Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    AlreadyBound,
    BadRequest,
    ChangeLate,
    DefaultPin,
    HalfUnbound,
    KeyMismatch,
    LookUpLate,
    NoKeyPair,
    NotRevoked,
    RecordDamaged,
    RemovalLate,
    Revoked,
    SerialTaken,
    StoreFailed,
    TryLimitTooHigh,
    UkeyError,
    UnknownUser,
)
from keyservice.core.reasons import Reason
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
from keyservice.store import uniqueness
from keyservice.store.people import Kind, now
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from keyservice.ukeys.base import KeyRef, PinState, Remark, TryReserve
from keyservice.ukeys.kind import MadeWith
from keyservice.ukeys.operations import GENERATE, PIN_STATE, Arguments

from . import adminpin, choosing, identity, lookups, policy, presence, tries, vouching
from .challenge import Purpose
from .context import Context
from .conversation import Caller
from .messages import N_
from .proof import Proof
from .services import UkeyHandle

#: Wrong PINs in a row that the standard allows a ukey to allow (GM/T 0027-2014).
TRIES_MAX = 10
#: What keeps a change from the disk.
_STORES = (StoreFailed, RecordDamaged, LookUpLate)


@presence.used
async def bind(context: Context) -> Verdict:
    """Bind a ukey to the requested person, once it has proven its key with the PIN.

    Nothing is stored unless all is well: no binding of the person, the ukey or the key, no
    revocation, no default PIN, no PIN limit over 10, a trial signature that verifies; and a maker
    that vouches for the key, where the configuration demands one.
    """
    request = context.request
    person = await identity.identify(context)
    existing = await identity.enrolled(context, person)
    if existing is not None:
        bound = existing.held[0].binding
        raise AlreadyBound(user=bound.user, serial=bound.serial)
    kept = await context.services.records.inventory(lookups.budget(context))
    for error in kept.damaged:
        raise error
    taken = kept.bindings

    handle = await choosing.ukey(context, taken)
    await _check_serial(context, handle, taken)
    reserve = tries.reserve(context)
    generate = Flag.GENERATE in request.flags
    attested = False
    if generate:
        handle.check_can(GENERATE)
        ref = await choosing.new_pair(context, handle)
        await _check_new_pair(context, handle, ref)
        policy.check_algorithm(context.services.rules, handle.makes, handle.info.serial)
        await vouching.foresee(context, handle, ref)
    else:
        ref = await choosing.key_pair(context, handle)
        shown = await handle.public_key(ref, lookups.deadline(context))
        await _check_key(context, shown, handle, taken)
        await _check_use(context, handle, ref)
        attested = await vouching.attested(context, handle, ref, shown)
    await _check_pin_state(context, handle, ref, reserve)

    serial = handle.info.serial
    await tries.check_pause(context, handle, ref)
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(serial))
    if generate:
        shown = await _made(context, handle, ref, Arguments(ref, pin=pin, reserve=reserve))
        await _check_key(context, shown, handle, taken)
        await _check_use(context, handle, ref)
        attested = await vouching.attested(context, handle, ref, shown)
    key = await handle.public_key(ref, lookups.deadline(context))
    if key != shown:  # what was checked of the one does not hold for the other
        raise KeyMismatch(serial=serial, reader=handle.info.reader)
    proof = Proof(Purpose.BIND, person, handle, ref, key)
    await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
    seen = handle.known_pin(ref)
    if seen is not None:  # some ukeys tell only now, the PIN being right
        _check_default(context, serial, seen)

    binding = _binding(person, handle, ref, key, context.caller, attested=attested)
    await lookups.store(context, partial(context.services.records.add, binding))
    return Verdict(
        Code.SUCCESS,
        context.texts.bound(person.name, serial, attested=attested),
        detail={
            "user": person.name,
            "serial": serial,
            "application": ref.application,
            "container": ref.container,
            "key": binding.fingerprint,
            "attested": attested,
        },
    )


async def _made(context: Context, handle: UkeyHandle, ref: KeyRef, make: Arguments) -> PublicKey:
    """A new pair: by the PIN in `make`, or by what else its kind wants to be told."""
    serial, admin = handle.info.serial, None
    match handle.made_with:
        case MadeWith.MANAGEMENT_KEY:
            key = await context.conversation.ask(context.texts.management_key(serial))
            make = replace(make, pin=key)
        case MadeWith.ADMIN_PIN:
            key, admin = await adminpin.ask(context, handle, ref)
            make = replace(make, pin=key)
    await context.conversation.info(context.texts.generating())
    making = partial(handle.do, GENERATE, make, lookups.deadline(context))
    if handle.made_with is MadeWith.MANAGEMENT_KEY:  # no try of a PIN is spent
        return await tries.in_turn(context, serial, making, lasting=True)
    if admin is not None:
        return await adminpin.spend(context, handle, ref, admin, making)
    return await tries.spend(context, handle, ref, making, lasting=True)


@presence.used
async def unbind(context: Context) -> Verdict:
    """Remove the requested person's binding: with the ukey and its PIN, or by force.

    Force is for a lost ukey: its key is revoked first, and that is on the disk before the record
    goes. The same holds for a record that cannot be read, or is gone, as far as it is known which
    key was in it. The history keeps that the person had a ukey.
    """
    force = Flag.FORCE in context.request.flags
    name, by, records = await _record_name(context), doer(context.caller), context.services.records
    try:
        (binding,) = await records.named(name, lookups.budget(context))
    except RecordDamaged:
        if not force:
            raise
        return await _discard(context, name)
    context.serial = binding.serial
    detail: dict[str, str | int | bool] = {"user": binding.user, "serial": binding.serial}
    if force:
        await _revoke(context, binding.fingerprint, binding.user, binding.serial)
        text = context.texts.revoked(binding.user, binding.serial, binding.fingerprint)
        detail["key"] = binding.fingerprint
    else:
        await _prove(context, binding)
        text = context.texts.unbound(binding.user, binding.serial)
    try:
        await lookups.store(context, partial(records.remove, binding, by))
    except _STORES as error:
        if force:
            raise await _half(context, error, binding.fingerprint, detail) from error
        raise
    return Verdict(Code.SUCCESS, text, detail=detail)


async def _discard(context: Context, name: str) -> Verdict:
    """Remove the record that cannot be used any more; revoke the keys known to be in it."""
    records = context.services.records
    events = await records.lasts(name, lookups.budget(context))
    detail: dict[str, str | int | bool] = {"user": name}
    text = context.texts.discarded(name)
    for known in (each for each in events if each.event is Kind.BOUND and each.key):
        await _revoke(context, known.key, name, known.serial)
        context.serial = known.serial
        detail |= {"serial": known.serial, "key": known.key}
        text = context.texts.revoked(name, known.serial, known.key)
    try:
        await lookups.store(context, partial(records.discard, name, doer(context.caller)))
    except _STORES as error:
        if "key" in detail:
            raise await _half(context, error, str(detail["key"]), detail) from error
        raise
    return Verdict(Code.SUCCESS, text, detail=detail)


async def _half(
    context: Context, error: UkeyError, key: str, who: Mapping[str, str | int]
) -> UkeyError:
    """`error`, which ended an unbinding by force, as the error that says how far that had come.

    `who`: user and serial.
    """
    try:
        revoked = await context.services.records.revocation(key, lookups.budget(context))
    except UkeyError:
        return error  # nobody knows
    facts = {"path": RECORDS_DIR, "why": Reason.DISK_LATE.value, **error.facts}
    facts |= {"user": who["user"], "serial": who["serial"]}
    if isinstance(error, ChangeLate):
        return RemovalLate(error.message, **facts)
    return (NotRevoked if revoked is None else HalfUnbound)(error.message, **facts)


async def _revoke(context: Context, key: str, user: str, serial: str) -> None:
    event = Revocation(key, True, now(), doer(context.caller), user, serial)
    try:
        await lookups.store(context, partial(context.services.records.revoke, event))
    except ChangeLate:  # nobody knows
        raise
    except _STORES as error:
        raise await _half(context, error, key, {"user": user, "serial": serial}) from error


def doer(caller: Caller) -> int:
    """The person who does it: the one who logged in, even if root does it for them."""
    return caller.uid if caller.loginuid is None else caller.loginuid


async def _record_name(context: Context) -> str:
    """The name whose record is meant; a user who is gone from the host may still have one."""
    try:
        return (await identity.identify(context)).name
    except UnknownUser:
        return context.request.user


async def _prove(context: Context, binding: Binding) -> None:
    """Have the bound ukey sign: this proves that the person who unbinds it holds it."""
    reserve = tries.reserve(context)
    ref = presence.ref_of(binding)
    handle = await presence.find(context, binding.serial, context.services.rules.wait_for_ukey)
    await presence.check_key(context, handle, binding)
    await tries.check_pause(context, handle, ref)
    await tries.check_tries(context, handle, ref, reserve)
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(binding.serial))
    person = Person(binding.user, binding.uid)
    proof = Proof(Purpose.BIND, person, handle, ref, binding.key)
    await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))


async def _check_serial(context: Context, handle: UkeyHandle, taken: list[Binding]) -> None:
    """Refuse a ukey that is bound, or whose serial another one that is bound has."""
    serial = handle.info.serial
    for each in taken:
        if each.serial == serial and not await presence.is_bound_one(context, handle, each):
            raise SerialTaken(user=each.user, serial=serial)
    uniqueness.check_free(taken, serial=serial)
    if not serial.strip("0"):
        await context.conversation.info(context.texts.serial_of_zeros(serial))


async def _check_key(
    context: Context, key: PublicKey, handle: UkeyHandle, taken: list[Binding]
) -> None:
    """Refuse a key that cannot be one, of an algorithm that is not accepted, that is bound, or that
    is revoked."""
    policy.check_algorithm(context.services.rules, key.algorithm, handle.info.serial)
    # in a thread: the first key of its algorithm loads a library
    await lookups.look_up(context, algorithms.check, key)
    name = algorithms.fingerprint(key)
    uniqueness.check_free(taken, key=name)
    if await context.services.records.revocation(name, lookups.budget(context)) is not None:
        raise Revoked(serial=handle.info.serial, key=name)


async def _check_new_pair(context: Context, handle: UkeyHandle, ref: KeyRef) -> None:
    """Refuse, before anything is typed, a ukey that cannot tell whether it holds a pair there. Only
    kinds that make pairs with a management key have such ukeys."""
    if handle.made_with is not MadeWith.MANAGEMENT_KEY:
        return
    with suppress(NoKeyPair):  # no such container: the ukey says which there are
        use = await handle.key_use(ref, lookups.deadline(context))
        if Remark.NO_NEW_PAIR in use.remarks:
            raise BadRequest(Reason.CERTIFICATES_ONLY)


async def _check_use(context: Context, handle: UkeyHandle, ref: KeyRef) -> None:
    """Refuse a key that signs without a PIN; tell root what else they should know."""
    use = await handle.key_use(ref, lookups.deadline(context))
    if not use.needs_pin:
        raise BadRequest(
            N_("the key in {container} signs without a PIN, so it proves too little"),
            container=ref.container,
        )
    for text in context.texts.remarks(use.remarks):
        await context.conversation.info(text)


async def _check_pin_state(
    context: Context, handle: UkeyHandle, ref: KeyRef, reserve: TryReserve
) -> None:
    state = await handle.do(PIN_STATE, Arguments(ref), lookups.deadline(context))
    serial = handle.info.serial
    if state.maximum > TRIES_MAX:
        raise TryLimitTooHigh(serial=serial, maximum=state.maximum)
    _check_default(context, serial, state)
    tries.require_tries(state, serial, reserve)


def _check_default(context: Context, serial: str, state: PinState) -> None:
    if state.default and Flag.ALLOW_DEFAULT_PIN not in context.request.flags:
        raise DefaultPin(serial=serial)


def _binding(
    person: Person,
    handle: UkeyHandle,
    ref: KeyRef,
    key: PublicKey,
    caller: Caller,
    *,
    attested: bool,
) -> Binding:
    return Binding(
        user=person.name,
        uid=person.uid,
        serial=handle.info.serial,
        kind=handle.info.kind,
        application=ref.application,
        container=ref.container,
        algorithm=key.algorithm,
        public_key=key.encoded.hex(),
        attested=attested,
        bound_at=now(),
        bound_by=doer(caller),
    )
