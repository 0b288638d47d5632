# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Changing, unblocking and verifying a ukey's PIN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from keyservice.contract.names import Code
from keyservice.contract.steps import Verdict
from keyservice.core.errors import (
    AdminPinLocked,
    AdminPinWrong,
    AdminTryWithheld,
    Cancelled,
    NotAllowed,
    NotEnrolled,
    PinLocked,
    PinRefused,
    PinsDiffer,
    PinUnchanged,
    PinWrong,
    TryWithheld,
)
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.store.bindings import Binding
from keyservice.ukeys.base import Keep, KeyRef

from . import approach, choosing
from .audit import Attempt
from .conversation import Conversation
from .messages import N_, Texts
from .world import UkeyHandle, World

#: How often a new PIN that was not repeated the same is asked for again.
ASKED = 3


async def change_pin(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """Change the PIN of the caller's own ukey, or for root of any: old, new, new again."""
    texts, keep = world.texts(attempt.request), approach.keep(world, attempt)
    handle, ref = await _meant(world, talk, texts, attempt)
    await _show_tries(world, talk, texts, handle, ref, keep)
    serial = handle.info.serial
    old = await approach.ask_pin(talk, texts.old_pin(serial))
    new = await _new_pin(talk, texts, old)
    changing = partial(handle.change_pin, ref, old, new, keep, approach.deadline(talk))
    await approach.spend(world, talk, attempt, serial, changing, lasting=True)
    return Verdict(Code.SUCCESS, texts.pin_changed(serial), detail={"serial": serial})


async def unblock_pin(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """Set a new PIN with the admin PIN, whose tries are shown first and whose last is kept."""
    texts = world.texts(attempt.request)
    handle, ref = await _meant(world, talk, texts, attempt)
    serial = handle.info.serial
    state = await handle.pin_state(ref, approach.deadline(talk), admin=True)
    await talk.info(texts.admin_tries_left(state.left))
    with _of_admin():
        approach.require_tries(state, serial, Keep.LAST)
    admin = await approach.ask_pin(talk, texts.admin_pin(serial))
    new = await _new_pin(talk, texts, None)
    unblocking = partial(handle.unblock_pin, ref, admin, new, approach.deadline(talk))
    # no pause holds it up, and none follows: they are for the user PIN, and end with a new one
    with _of_admin():
        await approach.in_turn(world, talk, texts, serial, unblocking, lasting=True)
    await world.throttle.passed(serial)
    return Verdict(Code.SUCCESS, texts.pin_unblocked(serial), detail={"serial": serial})


async def verify_pin(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """See whether a PIN is right, which costs a try where it is not."""
    texts, keep = world.texts(attempt.request), approach.keep(world, attempt)
    handle, ref = await _meant(world, talk, texts, attempt)
    await _show_tries(world, talk, texts, handle, ref, keep)
    serial = handle.info.serial
    pin = await approach.ask_pin(talk, texts.pin_prompt(serial))
    verifying = partial(handle.verify_pin, ref, pin, keep, approach.deadline(talk))
    state = await approach.spend(world, talk, attempt, serial, verifying)
    return Verdict(
        Code.SUCCESS,
        texts.pin_right(serial),
        detail={"serial": serial, "left": state.left, "maximum": state.maximum},
    )


async def _meant(
    world: World, talk: Conversation, texts: Texts, attempt: Attempt
) -> tuple[UkeyHandle, KeyRef]:
    """The ukey whose PIN is meant, and where on it: in the named application, or the bound one.

    The named person's ukey, or the caller's own; for root also any that is named by its serial,
    and where root has none of its own, the one that is inserted.
    """
    request, root = attempt.request, attempt.caller.root
    if root and request.serial:
        binding = await _bound(world, talk, request.serial)
    else:
        person = await approach.identify(world, talk, attempt)
        binding = await approach.binding_of(world, talk, person)
        if binding is None and (request.user or not root):
            raise NotEnrolled(user=person.name)
        if binding is not None and request.serial not in ("", binding.serial):
            raise NotAllowed(N_("only root may do this with another ukey than one's own"))
    if binding is None:
        handle = await choosing.ukey(world, talk, texts, attempt)
        bound = await _bound(world, talk, handle.info.serial)
        if bound is None:
            return handle, await choosing.application(talk, attempt, handle)
        binding = bound
    else:
        attempt.serial = binding.serial
        patience = world.rules.wait_for_ukey
        handle = await approach.find(world, talk, texts, binding.serial, patience)
    attempt.person = Person(binding.user, binding.uid)  # root may have named the ukey only
    await approach.check_key(talk, handle, binding)
    if request.application not in ("", binding.application):
        return handle, await choosing.application(talk, attempt, handle)
    return handle, approach.ref_of(binding)


async def _bound(world: World, talk: Conversation, serial: str) -> Binding | None:
    """The binding of the ukey `serial`; a damaged record counts for nothing here."""
    bindings, _ = await approach.look_up(talk, world.bindings.all)
    return next((each for each in bindings if each.serial == serial), None)


async def _show_tries(
    world: World, talk: Conversation, texts: Texts, handle: UkeyHandle, ref: KeyRef, keep: Keep
) -> None:
    world.throttle.check(handle.info.serial)
    state = await handle.pin_state(ref, approach.deadline(talk))
    approach.require_tries(state, handle.info.serial, keep)
    if state.left < state.maximum:
        await talk.info(texts.tries_left(state.left))


async def _new_pin(talk: Conversation, texts: Texts, old: Secret | None) -> Secret:
    """A new PIN, typed twice. Raises :class:`PinRefused` and its kinds.

    Whoever has no other one, after one was refused, was refused and has not cancelled.
    """
    again = ASKED
    refused: PinRefused | None = None
    while True:
        try:
            new = await approach.ask_pin(talk, texts.new_pin())
            if old is not None and new.matches(old):
                raise PinUnchanged()
            if not new.matches(await talk.ask(texts.new_pin_again())):
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
            await talk.error(texts.error(error))


@contextmanager
def _of_admin() -> Iterator[None]:
    """What is wrong with a PIN in the block is wrong with the admin PIN."""
    try:
        yield
    except PinWrong as error:
        raise AdminPinWrong("", **error.facts) from None
    except PinLocked as error:
        raise AdminPinLocked("", **error.facts) from None
    except TryWithheld as error:
        raise AdminTryWithheld("", **error.facts) from None
