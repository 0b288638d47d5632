# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Binding a ukey to a person, and ending that. Root's work only (``policy``)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from keyservice.contract.names import Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    AlreadyBound,
    DefaultPin,
    NotEnrolled,
    RecordDamaged,
    Revoked,
    SignatureWrong,
    TryLimitTooHigh,
    UkeyFailed,
    UnknownUser,
)
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.crypto import sm2
from keyservice.store.bindings import Binding
from keyservice.store.fingerprint import fingerprint
from keyservice.store.revocations import Revocation
from keyservice.ukeys.base import Keep, KeyRef, PublicKey

from . import approach, choosing
from .audit import Attempt
from .challenge import Challenge, Facts, Purpose
from .conversation import Caller, Conversation
from .world import UkeyHandle, World

#: Wrong PINs in a row that the standard allows a ukey to allow (GM/T 0027-2014).
TRIES_MAX = 10


async def bind(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """Bind a ukey to the requested person, once it has proven its key with the PIN.

    Nothing is stored unless all is well: no binding of the person, the ukey or the key, no
    revocation, no default PIN, no PIN limit over 10, a trial signature that verifies.
    """
    request, texts = attempt.request, world.texts(attempt.request)
    person = await approach.identify(world, talk, attempt)
    existing = await approach.binding_of(world, talk, person)
    if existing is not None:
        raise AlreadyBound(user=existing.user, serial=existing.serial)
    taken, damaged = await approach.look_up(talk, world.bindings.all)
    for error in damaged:
        raise error

    handle = await choosing.ukey(world, talk, texts, attempt, taken)
    _check_serial(handle.info.serial, taken)
    keep = approach.keep(world, attempt)
    generate = Flag.GENERATE in request.flags
    if generate:
        ref = await choosing.new_pair(talk, attempt, handle)
    else:
        ref = await choosing.key_pair(talk, texts, attempt, handle)
        _check_key(world, await handle.public_key(ref, approach.deadline(talk)), handle, taken)
    await _check_pin_state(talk, attempt, handle, ref, keep)

    serial = handle.info.serial
    world.throttle.check(serial)
    pin = await approach.ask_pin(talk, texts.pin_prompt(serial))
    if generate:
        await talk.info(texts.generating())
        making = partial(handle.generate, ref, pin, keep, approach.deadline(talk))
        key = await approach.spend(world, talk, attempt, serial, making, lasting=True)
        _check_key(world, key, handle, taken)
    key = await handle.public_key(ref, approach.deadline(talk))
    trial = partial(_try, world, talk, person, handle, ref, key, pin, keep)
    await approach.spend(world, talk, attempt, serial, trial)

    binding = _binding(person, handle, ref, key, attempt.caller)
    await approach.store(world.bindings.add, binding)
    return Verdict(
        Code.SUCCESS,
        texts.bound(person.name, serial),
        detail={
            "user": person.name,
            "serial": serial,
            "application": ref.application,
            "container": ref.container,
            "key": binding.fingerprint,
        },
    )


async def unbind(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """Remove the requested person's binding: with the ukey and its PIN, or by force.

    By force is for a ukey that is lost: its key is revoked first, and that is on the disk before
    the record goes. A record that cannot be read is removed too, with nothing to revoke.
    """
    texts, force = world.texts(attempt.request), Flag.FORCE in attempt.request.flags
    name = await _record_name(world, talk, attempt)
    try:
        binding = await approach.look_up(talk, world.bindings.named, name)
    except RecordDamaged:
        if not force:
            raise
        await approach.store(world.bindings.discard, name)
        return Verdict(Code.SUCCESS, texts.discarded(name), detail={"user": name})
    if binding is None:
        raise NotEnrolled(user=name)
    attempt.serial = binding.serial
    detail: dict[str, str | int | bool] = {"user": binding.user, "serial": binding.serial}
    if force:
        event = revocation(binding, attempt.caller, revoked=True)
        await approach.store(world.revocations.append, event)
        text = texts.revoked(binding.user, binding.serial, binding.fingerprint)
        detail["key"] = binding.fingerprint
    else:
        await _prove(world, talk, attempt, binding)
        text = texts.unbound(binding.user, binding.serial)
    await approach.store(world.bindings.remove, binding)
    return Verdict(Code.SUCCESS, text, detail=detail)


def revocation(binding: Binding, caller: Caller, *, revoked: bool) -> Revocation:
    """The line that revokes the key of `binding`, by `caller`, now."""
    return Revocation(
        key=binding.fingerprint,
        revoked=revoked,
        at=now(),
        by=doer(caller),
        user=binding.user,
        serial=binding.serial,
    )


def now() -> str:
    """The present time for a record: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def doer(caller: Caller) -> int:
    """Who does it: whoever logged in, even if root does it for them."""
    return caller.uid if caller.loginuid is None else caller.loginuid


async def _record_name(world: World, talk: Conversation, attempt: Attempt) -> str:
    """The name whose record is meant; a user who is gone from the host still may have one."""
    try:
        return (await approach.identify(world, talk, attempt)).name
    except UnknownUser:
        return attempt.request.user


async def _prove(world: World, talk: Conversation, attempt: Attempt, binding: Binding) -> None:
    """Have the bound ukey sign, so that whoever unbinds it holds it."""
    texts, keep = world.texts(attempt.request), approach.keep(world, attempt)
    ref = approach.ref_of(binding)
    handle = await approach.find(world, talk, texts, binding.serial, world.rules.wait_for_ukey)
    await approach.check_key(talk, handle, binding)
    world.throttle.check(binding.serial)
    await approach.check_tries(talk, handle, ref, keep)
    pin = await approach.ask_pin(talk, texts.pin_prompt(binding.serial))
    person = Person(binding.user, binding.uid)
    key = PublicKey(binding.algorithm, binding.point)
    trial = partial(_try, world, talk, person, handle, ref, key, pin, keep)
    await approach.spend(world, talk, attempt, binding.serial, trial)


async def _try(
    world: World,
    talk: Conversation,
    person: Person,
    handle: UkeyHandle,
    ref: KeyRef,
    key: PublicKey,
    pin: Secret,
    keep: Keep,
) -> None:
    """A trial signature, verified. Raises :class:`SignatureWrong`."""
    facts = Facts(world.machine_id, person, handle.info.serial, "", talk.session_id)
    challenge = Challenge(Purpose.BIND, facts)
    digest = sm2.digest(key.point, challenge.message())
    signature = await handle.sign(ref, pin, digest, keep, approach.deadline(talk))
    if not world.engine.verify(key.point, challenge.redeem(), signature):
        raise SignatureWrong(serial=handle.info.serial, reader=handle.info.reader)


def _check_serial(serial: str, taken: list[Binding]) -> None:
    for binding in taken:
        if binding.serial == serial:
            raise AlreadyBound(user=binding.user, serial=serial)


def _check_key(world: World, key: PublicKey, handle: UkeyHandle, taken: list[Binding]) -> None:
    """Refuse a key that cannot be one, that is bound, or that is revoked."""
    if key.algorithm != "sm2":
        raise UkeyFailed("The ukey's key is of an unknown algorithm", serial=handle.info.serial)
    sm2.check_point(key.point)
    name = fingerprint(key.point)
    for binding in taken:
        if binding.fingerprint == name:
            raise AlreadyBound(user=binding.user, serial=binding.serial)
    if world.revocations.find(name) is not None:
        raise Revoked(serial=handle.info.serial, key=name)


async def _check_pin_state(
    talk: Conversation, attempt: Attempt, handle: UkeyHandle, ref: KeyRef, keep: Keep
) -> None:
    state = await handle.pin_state(ref, approach.deadline(talk))
    serial = handle.info.serial
    if state.maximum > TRIES_MAX:
        raise TryLimitTooHigh(serial=serial, maximum=state.maximum)
    if state.default and Flag.ALLOW_DEFAULT_PIN not in attempt.request.flags:
        raise DefaultPin(serial=serial)
    approach.require_tries(state, serial, keep)


def _binding(
    person: Person, handle: UkeyHandle, ref: KeyRef, key: PublicKey, caller: Caller
) -> Binding:
    return Binding(
        user=person.name,
        uid=person.uid,
        serial=handle.info.serial,
        kind=handle.info.kind,
        application=ref.application,
        container=ref.container,
        algorithm=key.algorithm,
        public_key=key.point.hex(),
        attested=False,
        bound_at=now(),
        bound_by=doer(caller),
    )
