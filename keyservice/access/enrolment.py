# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Binding a ukey to a person. Root's work only (``policy``)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from keyservice.contract.names import Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    BadRequest,
    DefaultPin,
    KeyMismatch,
    NoKeyPair,
    Revoked,
    SerialTaken,
    TryLimitTooHigh,
    UkeysEnough,
)
from keyservice.core.reasons import Reason, Unfit
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
from keyservice.store import records, uniqueness
from keyservice.store.people import now
from keyservice.store.record_text import check_label
from keyservice.store.records import LABEL_MAX, Binding
from keyservice.ukeys.base import KeyRef, PinState, Remark, TryReserve
from keyservice.ukeys.kind import MadeWith
from keyservice.ukeys.operations import GENERATE, PIN_STATE, Arguments

from . import adminpin, choosing, identity, lookups, policy, presence, tries, vouching
from .challenge import Purpose
from .context import Context
from .conversation import Caller
from .messages import N_, ukey_name
from .proof import Proof
from .services import UkeyHandle

#: Wrong PINs in a row that the standard allows a ukey to allow (GM/T 0027-2014).
TRIES_MAX = 10


@presence.used
async def bind(context: Context) -> Verdict:
    """Bind a ukey to the requested person, once it has proven its key with the PIN.

    Nothing is stored unless all is well: the person has fewer ukeys than the configuration allows,
    no binding of the ukey or the key, no revocation, no default PIN, no PIN limit over 10, a trial
    signature that verifies; and a maker that vouches for the key, where the configuration demands
    one.
    """
    request = context.request
    _check_label(request.label)
    person = await identity.identify(context)
    await _check_room(context, person)
    kept = await context.services.records.inventory(lookups.budget(context))
    for error in kept.damaged:
        raise error
    taken = kept.bindings

    handle = await choosing.ukey(context, [each for each in taken if _rules_out(each, person)])
    await _check_serial(context, handle, person, taken)
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
        await check_use(context, handle, ref)
        attested = await vouching.attested(context, handle, ref, shown)
    await check_pin_state(context, handle, ref, reserve)

    serial = handle.info.serial
    await tries.check_pause(context, handle, ref)
    named = ukey_name(serial, request.label)
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(named))
    if generate:
        shown = await _made(context, handle, ref, Arguments(ref, pin=pin, reserve=reserve))
        await _check_key(context, shown, handle, taken)
        await check_use(context, handle, ref)
        attested = await vouching.attested(context, handle, ref, shown)
    key = await handle.public_key(ref, lookups.deadline(context))
    if key != shown:  # what was checked of the one does not hold for the other
        raise KeyMismatch(serial=serial, reader=handle.info.reader)
    proof = Proof(Purpose.BIND, person, handle, ref, key)
    await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
    seen = handle.known_pin(ref)
    if seen is not None:  # some ukeys tell only now, the PIN being right
        check_default(context, serial, seen)

    binding = _binding(person, handle, ref, key, context, attested=attested)
    limit = context.services.rules.ukeys_per_person
    await lookups.store(context, partial(context.services.records.add, binding, limit=limit))
    return Verdict(
        Code.SUCCESS,
        context.texts.bound(person.name, named, attested=attested),
        detail={
            "user": person.name,
            "serial": serial,
            "application": ref.application,
            "container": ref.container,
            "key": binding.fingerprint,
            "attested": attested,
        },
    )


def _check_label(label: str) -> None:
    try:
        check_label(label)
    except Unfit:
        raise BadRequest(Reason.LABEL, limit=LABEL_MAX) from None


async def _check_room(context: Context, person: Person) -> None:
    """Refuse a person who has as many ukeys as the configuration allows. Raises
    :class:`UkeysEnough`."""
    limit = context.services.rules.ukeys_per_person
    theirs = await identity.held(context, person, records.Purpose.LOGIN)
    if len(theirs) >= limit:
        ukeys = [ukey_name(each.binding.serial, each.binding.label) for each in theirs]
        serial = theirs[0].binding.serial
        raise UkeysEnough(user=person.name, serial=serial, limit=limit, ukeys=", ".join(ukeys))


def _rules_out(binding: Binding, person: Person) -> bool:
    """Whether a ukey that has this binding is not the one that is meant: it may hold an ssh key of
    the same person's."""
    return binding.purpose is records.Purpose.LOGIN or binding.user != person.name


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


def doer(caller: Caller) -> int:
    """The person who does it: the one who logged in, even if root does it for them."""
    return caller.uid if caller.loginuid is None else caller.loginuid


async def _check_serial(
    context: Context, handle: UkeyHandle, person: Person, taken: list[Binding]
) -> None:
    """Refuse a ukey that is bound, or whose serial another one that is bound has."""
    serial = handle.info.serial
    for each in taken:
        if each.serial == serial and not await presence.is_bound_one(context, handle, each):
            raise SerialTaken(user=each.user, serial=serial)
    uniqueness.check_free(taken, serial=serial, user=person.name)
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


async def check_use(context: Context, handle: UkeyHandle, ref: KeyRef) -> None:
    """Refuse a key that signs without a PIN; tell root what else they should know."""
    use = await handle.key_use(ref, lookups.deadline(context))
    if not use.needs_pin:
        raise BadRequest(
            N_("the key in {container} signs without a PIN, so it proves too little"),
            container=ref.container,
        )
    for text in context.texts.remarks(use.remarks):
        await context.conversation.info(text)


async def check_pin_state(
    context: Context, handle: UkeyHandle, ref: KeyRef, reserve: TryReserve
) -> None:
    """Refuse a PIN that is the maker's, has too many tries, or none that may be spent."""
    state = await handle.do(PIN_STATE, Arguments(ref), lookups.deadline(context))
    serial = handle.info.serial
    if state.maximum > TRIES_MAX:
        raise TryLimitTooHigh(serial=serial, maximum=state.maximum)
    check_default(context, serial, state)
    tries.require_tries(state, serial, reserve)


def check_default(context: Context, serial: str, state: PinState) -> None:
    """Raise :class:`DefaultPin`, unless the request allows that."""
    if state.default and Flag.ALLOW_DEFAULT_PIN not in context.request.flags:
        raise DefaultPin(serial=serial)


def _binding(
    person: Person,
    handle: UkeyHandle,
    ref: KeyRef,
    key: PublicKey,
    context: Context,
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
        bound_by=doer(context.caller),
        label=context.request.label,
    )
