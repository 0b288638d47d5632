# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Changing, unblocking and verifying a ukey's PIN."""

from __future__ import annotations

from functools import partial

from keyservice.contract.names import Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    Cancelled,
    NotAllowed,
    NotEnrolled,
    PinRefused,
    PinsDiffer,
    PinUnchanged,
)
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.store.records import Binding, Purpose
from keyservice.store.throttle import PinName
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.operations import (
    CHANGE_PIN,
    PIN_STATE,
    UNBLOCK_PIN,
    VERIFY_PIN,
    Arguments,
)

from . import adminpin, choosing, identity, lookups, policy, presence, strength, tries
from .context import Context
from .messages import N_
from .services import UkeyHandle

#: How often a new PIN is asked for again after it was not typed the same way twice.
ASKED = 3


@presence.used
async def change_pin(context: Context) -> Verdict:
    """Change the PIN of the caller's own ukey, or for root of any: old, new, new again.

    The verdict is IGNORE if a password changes, and no PIN is to change with it.
    """
    if Flag.PASSWORD in context.request.flags and await _password_alone(context):
        return Verdict(Code.IGNORE)
    reserve = tries.reserve(context)
    handle, ref = await _meant(context)
    handle.check_can(CHANGE_PIN)
    await _show_tries(context, handle, ref, reserve)
    serial = handle.info.serial
    old = await tries.ask_pin(context, handle, context.texts.old_pin(serial))
    new = await _new_pin(context, handle, old)
    change = Arguments(ref, pin=old, new_pin=new, reserve=reserve)
    changing = partial(handle.do, CHANGE_PIN, change, lookups.deadline(context))
    await tries.spend(context, handle, ref, changing, lasting=True)
    return Verdict(Code.SUCCESS, context.texts.pin_changed(serial), detail={"serial": serial})


async def _password_alone(context: Context) -> bool:
    """Whether a password changes without the PIN: root's program does it, or by ``nouserok``."""
    person = await identity.identify(context)
    if policy.password_alone(context.caller, context.request):
        return True
    if Flag.NOUSEROK not in context.request.flags:
        return False
    enrolment = await identity.enrolled(context, person)
    if enrolment is not None and enrolment.of(Purpose.LOGIN):
        return False
    await identity.check_never_had(context, person, enrolment.held if enrolment else ())
    return True


@presence.used
async def unblock_pin(context: Context) -> Verdict:
    """Set a new PIN with the admin PIN. Its tries are shown first, and its last try is kept."""
    handle, ref = await _meant(context)
    handle.check_can(UNBLOCK_PIN)
    serial = handle.info.serial
    admin, before = await adminpin.ask(context, handle, ref)
    new = await _new_pin(context, handle, None)

    async def unblocking() -> None:
        unblock = Arguments(ref, pin=admin, new_pin=new)
        await handle.do(UNBLOCK_PIN, unblock, lookups.deadline(context))
        # the user PIN's pauses do not delay this, and end with a new PIN
        pin, left = PinName(serial, ref.application), lookups.left(context)
        await context.services.throttle.passed(pin, left)

    await adminpin.spend(context, handle, ref, before, unblocking)
    return Verdict(Code.SUCCESS, context.texts.pin_unblocked(serial), detail={"serial": serial})


@presence.used
async def verify_pin(context: Context) -> Verdict:
    """Check whether a PIN is right. A wrong one costs a try."""
    reserve = tries.reserve(context)
    handle, ref = await _meant(context)
    await _show_tries(context, handle, ref, reserve)
    serial = handle.info.serial
    pin = await tries.ask_pin(context, handle, context.texts.pin_prompt(serial))
    verify = Arguments(ref, pin=pin, reserve=reserve)
    verifying = partial(handle.do, VERIFY_PIN, verify, lookups.deadline(context))
    state = await tries.spend(context, handle, ref, verifying)
    return Verdict(
        Code.SUCCESS,
        context.texts.pin_right(serial),
        detail={"serial": serial, "left": state.left, "maximum": state.maximum},
    )


async def _meant(context: Context) -> tuple[UkeyHandle, KeyRef]:
    """The ukey whose PIN is meant, and where on it: in the named application, or the bound one.

    It is the named person's ukey, or the caller's own. For root it is also any that is named by its
    serial, and if root has none of its own, the one that is inserted.
    """
    request, root = context.request, context.caller.root
    binding: Binding | None = None
    if root and request.serial:
        handle = await choosing.ukey(context)
        binding = await _bound(context, handle.info.serial)
    else:
        theirs = await _theirs(context)
        if theirs:
            binding, handle = await choosing.own(context, theirs)
        else:
            handle = await choosing.ukey(context)
            binding = await _bound(context, handle.info.serial)
    if binding is None:
        return handle, await choosing.application(context, handle)
    context.person = Person(binding.user, binding.uid)  # root may have named the ukey only
    await presence.check_key(context, handle, binding)
    if request.application not in ("", binding.application):
        return handle, await choosing.application(context, handle)
    return handle, presence.ref_of(binding)


async def _theirs(context: Context) -> list[Binding]:
    """The ukeys of the named person, or the caller, of which one is meant; none if root means
    whichever is inserted."""
    request, root = context.request, context.caller.root
    person = await identity.identify(context)
    theirs = [each.binding for each in await identity.held(context, person, Purpose.LOGIN)]
    if not theirs and (request.user or not root):
        raise NotEnrolled(user=person.name)
    if not theirs or not request.serial:
        return theirs
    named = choosing.by_serial(theirs, request.serial)
    if not named:
        raise NotAllowed(N_("only root may do this with another ukey than one's own"))
    return named


async def _bound(context: Context, serial: str) -> Binding | None:
    """The binding of the ukey `serial`; a damaged record counts for nothing here."""
    kept = await context.services.records.inventory(lookups.budget(context))
    return next((each for each in kept.bindings if each.serial == serial), None)


async def _show_tries(
    context: Context, handle: UkeyHandle, ref: KeyRef, reserve: TryReserve
) -> None:
    await tries.check_pause(context, handle, ref)
    state = await handle.do(PIN_STATE, Arguments(ref), lookups.deadline(context))
    tries.require_tries(state, handle.info.serial, reserve)
    if state.left < state.maximum:
        await context.conversation.info(context.texts.tries_left(state.left))


async def _new_pin(context: Context, handle: UkeyHandle, old: Secret | None) -> Secret:
    """A new PIN, typed twice. Raises :class:`PinRefused` and its kinds.

    If a new PIN was refused and the person then cancels, they get the refusal, not "cancelled".
    """
    again = ASKED
    refused: PinRefused | None = None
    while True:
        try:
            new = await tries.ask_pin(context, handle, context.texts.new_pin())
            if old is not None and new.matches(old):
                raise PinUnchanged()
            strength.check(new, context.services.rules)
            if not strength.is_plain(new):
                await context.conversation.info(context.texts.not_ascii())
            if not new.matches(await context.conversation.ask(context.texts.new_pin_again())):
                raise PinsDiffer()
            return new
        except Cancelled:
            if refused is None:
                raise
            raise refused from None
        except PinRefused as error:
            again, refused = again - 1, error
            if not again:
                raise
            await context.conversation.error(context.texts.error(error))
