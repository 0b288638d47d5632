# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a try of a PIN may be spent, and spending it: in turn, counted, to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from keyservice.contract.names import SSHD_JUNK, Flag, WaitFor
from keyservice.core.errors import (
    PinLocked,
    PinRefused,
    PinWrong,
    TryWithheld,
    UkeyError,
)
from keyservice.core.secret import Secret
from keyservice.store.throttle import PinName
from keyservice.ukeys.base import KeyRef, PinState, TryReserve
from keyservice.ukeys.kind import PinRule
from keyservice.ukeys.operations import PIN_STATE, Arguments

from . import identity, lookups, policy
from .context import Context
from .services import UkeyHandle
from .turns import unbroken

_T = TypeVar("_T")
#: Begins the work, and no sooner than it may begin.
_Work = Callable[[], Coroutine[Any, Any, _T]]


def reserve(context: Context) -> TryReserve:
    """The tries that this attempt has to leave."""
    local = identity.judge(context).local
    return policy.reserve(context.caller, context.request.operation, local=local)


async def check_tries(
    context: Context, handle: UkeyHandle, ref: KeyRef, reserve: TryReserve
) -> PinState | None:
    """The tries as last seen. If these allow none to be spent, the ukey itself is asked.

    It is asked too if none were seen since its insertion, so that the prompt can tell them. Under
    ``uniform`` no prompt does. Raises :class:`PinLocked` and :class:`TryWithheld`, so that no PIN
    is asked in vain.
    """
    known = handle.known_pin(ref)
    if known is None and Flag.UNIFORM in context.request.flags:
        return None
    if known is not None and known.left > reserve.tries(known.maximum):
        return known
    state = await handle.do(PIN_STATE, Arguments(ref), lookups.deadline(context))
    require_tries(state, handle.info.serial, reserve)
    return state


def require_tries(state: PinState, serial: str, reserve: TryReserve) -> None:
    """Raise :class:`PinLocked` or :class:`TryWithheld` if no try may be spent."""
    if state.locked:
        raise PinLocked(serial=serial)
    if state.left <= reserve.tries(state.maximum):
        raise TryWithheld(serial=serial, left=state.left, maximum=state.maximum)


async def ask_pin(context: Context, handle: UkeyHandle, prompt: str) -> Secret:
    """An answer that can be a PIN of the ukey. Raises :class:`PinRefused` for any other."""
    pin = await context.conversation.ask(prompt)
    rule = handle.pin_rule
    if not is_pin(pin, rule):
        raise PinRefused(minimum=rule.minimum, maximum=rule.maximum)
    return pin


def is_pin(answer: Secret, rule: PinRule) -> bool:
    """Whether `answer` can be a PIN by `rule`; no byte of it is a control character.

    sshd answers with control characters for users that it does not admit.
    """
    with answer.view() as view:
        fits = view != SSHD_JUNK and rule.fits(answer)
        return fits and all(byte >= 0x20 and byte != 0x7F for byte in view)


async def check_pause(
    context: Context, handle: UkeyHandle, ref: KeyRef, *, admin: bool = False
) -> None:
    """Raise :class:`Throttled` while the PIN pauses.

    If the outcome of the last PIN is not known, the ukey is asked for its tries. Raises what that
    raises too.
    """
    throttle, pin = context.services.throttle, PinName(handle.info.serial, ref.application, admin)
    sent = throttle.unknown(pin)
    if sent is not None:
        state = await handle.do(PIN_STATE, Arguments(ref, admin=admin), lookups.deadline(context))
        await throttle.settle(pin, sent, state, lookups.left(context))
    throttle.check(pin)


async def spend(
    context: Context,
    handle: UkeyHandle,
    ref: KeyRef,
    work: _Work[_T],
    *,
    admin: PinState | None = None,
    lasting: bool = False,
) -> _T:
    """Run `work`, which sends a PIN to a ukey: in turn, counted, to its end.

    It is the user PIN of the application in `ref`, or the admin PIN if its state is given in
    `admin`. Raises :class:`Throttled` before anything is sent, and what `work` raises. `lasting` is
    as for :func:`in_turn`.
    """
    serial = handle.info.serial
    throttle, pin = context.services.throttle, PinName(serial, ref.application, admin is not None)

    async def counted() -> _T:
        await check_pause(context, handle, ref, admin=admin is not None)
        context.guessed = True
        state = admin or handle.known_pin(ref)
        begun = _now()
        try:
            tries = None if state is None else state.left
            await throttle.count(pin, tries, lookups.left(context))
            begun = _now()
            result = await work()
        except (PinWrong, PinLocked):
            await throttle.failed(pin, lookups.left(context))
            context.services.turns.took(serial, _now() - begun)
            raise
        except TryWithheld:  # by the driver, which has read the tries first
            await throttle.withheld(pin, lookups.left(context))
            raise
        except BaseException:  # it may have cost a try, whatever ended this
            throttle.lost(pin)
            raise
        await throttle.passed(pin, lookups.left(context))
        context.services.turns.took(serial, _now() - begun)
        return result

    return await in_turn(context, serial, counted, lasting=lasting)


async def in_turn(
    context: Context,
    serial: str,
    work: _Work[_T],
    *,
    lasting: bool = False,
) -> _T:
    """Run `work` with the ukey `serial` to itself, and to its end even if the person hangs up.

    `lasting`: it changes something, so that its success counts even if nobody hears of it. Under
    ``uniform`` it must not miss its tick by waiting for its turn: :class:`TickMissed`.
    """
    turns = context.services.turns
    try:
        async with turns.of(
            serial,
            lambda: context.conversation.wait(context.texts.wait_for_turn(), WaitFor.TURN),
        ) as waited:
            if context.tick is not None:
                context.tick.start(waited, turns.seconds(serial))
            return await unbroken(
                work(),
                lambda: context.conversation.wait(context.texts.wait_for_device(), WaitFor.DEVICE),
                lasting=lasting,
            )
    except UkeyError as error:
        error.facts.setdefault("serial", serial)
        raise


def _now() -> float:
    return asyncio.get_running_loop().time()
