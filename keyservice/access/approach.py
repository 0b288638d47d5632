# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The way to a person's ukey, which logins and PIN operations share.

Who is it, what is bound to them, is that ukey there, is it really that one, may a try be spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from keyservice.contract.names import PIN_MAX, PIN_MIN, SSHD_JUNK, WaitFor
from keyservice.core.errors import (
    BadRequest,
    KeyMismatch,
    PinLocked,
    PinRefused,
    PinWrong,
    ReaderAbsent,
    ReaderRefused,
    Revoked,
    TryWithheld,
    UkeyAbsent,
    UkeyError,
)
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.store.bindings import Binding
from keyservice.ukeys.base import Keep, KeyRef, PinState, PublicKey

from . import locality, policy, threads
from .audit import Attempt
from .conversation import Conversation
from .messages import N_, Texts
from .turns import unbroken
from .uniform import FirstTick
from .world import UkeyHandle, World

_P = ParamSpec("_P")
_T = TypeVar("_T")
_W = TypeVar("_W")
#: Begins what is to be done, and no sooner than it may be.
_Work = Callable[[], Coroutine[Any, Any, _T]]

#: What the insertion of a ukey can put right.
_AWAITED = (UkeyAbsent, ReaderAbsent, ReaderRefused)
#: Seconds before the session's deadline at which a ukey or this host is late, so that it is told
#: from a person who is.
MOMENT = 0.1
#: Seconds that a write to the records may take.
STORE_SECONDS = 10.0


async def identify(world: World, talk: Conversation, attempt: Attempt) -> Person:
    """The person that the request names, if the caller may act for them.

    Without a name it is the caller, for operations on a PIN only. Raises :class:`UnknownUser`,
    :class:`NotAllowed`, :class:`BadRequest`, :class:`LookUpLate`.
    """
    name = attempt.request.user
    if name:
        person = await look_up(talk, world.resolve, name)
    elif attempt.request.operation in policy.NAMED:
        raise BadRequest(N_("the request names no user"))
    else:
        person = await look_up(talk, world.resolve_uid, attempt.caller.uid)
    policy.check_own(attempt.caller, person)
    attempt.person = person
    return person


async def binding_of(world: World, talk: Conversation, person: Person) -> Binding | None:
    """The person's binding, None where it is proven that there is none."""
    binding = world.bindings.own(person)
    if binding is None:
        await look_up(talk, world.bindings.prove_none, person)
    return binding


async def look_up(
    talk: Conversation, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """What `function` finds on this host, which may take its time. Raises what it raises, and
    :class:`LookUpLate`."""
    return await threads.call(talk.remaining() - MOMENT, talk.person, function, *args, **kwargs)


def check_revoked(world: World, binding: Binding) -> None:
    """A revocation wins over any record. Raises :class:`Revoked`."""
    if world.revocations.find(binding.fingerprint) is not None:
        raise Revoked(serial=binding.serial, key=binding.fingerprint, user=binding.user)


def judge(world: World, attempt: Attempt) -> locality.Place:
    """Local or remote, once and for all for this attempt."""
    if attempt.place is None:
        attempt.place = locality.judge(
            attempt.caller, attempt.request, world.rules.local_ttys, world.logind
        )
    return attempt.place


def keep(world: World, attempt: Attempt) -> Keep:
    """The tries that this attempt has to leave."""
    local = judge(world, attempt).local
    return policy.keep(attempt.caller, attempt.request.operation, local=local)


async def find(
    world: World, talk: Conversation, texts: Texts, serial: str, patience: float
) -> UkeyHandle:
    """The ukey `serial`; where it is absent, ask for it and wait up to `patience` seconds.

    Raises :class:`ReaderAbsent`, :class:`UkeyAbsent`, :class:`UkeyAmbiguous`,
    :class:`ReaderRefused`.
    """
    await world.ukeys.settled(deadline(talk))
    handle = await present(world, talk, texts, serial, patience, lambda: world.ukeys.find(serial))
    if handle.info.virtual and not world.rules.allow_virtual_readers:
        raise ReaderRefused("Virtual readers are not allowed", reader=handle.info.reader)
    return handle


async def present(
    world: World,
    talk: Conversation,
    texts: Texts,
    serial: str,
    patience: float,
    look: Callable[[], _T],
) -> _T:
    """What `look` finds, at once or as soon as an insertion lets it find something.

    The ukey `serial`, or any where it is empty, is asked for then. What `look` raises where there
    is no ukey, or only one in a reader that is refused, is raised after `patience` seconds.
    """
    changed = asyncio.Event()
    forget = world.ukeys.subscribe(lambda _event: changed.set())
    try:
        try:
            return look()
        except _AWAITED as error:
            if patience <= 0:
                raise
            if isinstance(error, ReaderRefused):
                await talk.info(texts.error(error))
        await talk.wait(texts.insert(serial), WaitFor.UKEY)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    await changed.wait()
                    changed.clear()
                    with suppress(*_AWAITED):
                        return look()
        return look()
    finally:
        forget()


async def check_key(talk: Conversation, handle: UkeyHandle, binding: Binding) -> None:
    """Raise :class:`KeyMismatch` unless the ukey shows the bound key."""
    shown = await handle.public_key(ref_of(binding), deadline(talk))
    if shown != PublicKey(binding.algorithm, binding.point):
        raise KeyMismatch(serial=binding.serial, reader=handle.info.reader)


async def check_tries(
    talk: Conversation, handle: UkeyHandle, ref: KeyRef, keep: Keep
) -> PinState | None:
    """The tries as last seen. Where none may be spent by that, the ukey is asked itself.

    Raises :class:`PinLocked` and :class:`TryWithheld`, so that no PIN is asked in vain.
    """
    known = handle.known_pin(ref)
    if known is None or known.left > keep.tries(known.maximum):
        return known
    state = await handle.pin_state(ref, deadline(talk))
    require_tries(state, handle.info.serial, keep)
    return state


def require_tries(state: PinState, serial: str, keep: Keep) -> None:
    """Raise :class:`PinLocked` or :class:`TryWithheld` where no try may be spent."""
    if state.locked:
        raise PinLocked(serial=serial)
    if state.left <= keep.tries(state.maximum):
        raise TryWithheld(serial=serial, left=state.left, maximum=state.maximum)


async def ask_pin(talk: Conversation, prompt: str) -> Secret:
    """An answer that can be a PIN. Raises :class:`PinRefused` for any other."""
    pin = await talk.ask(prompt)
    if not is_pin(pin):
        raise PinRefused()
    return pin


def is_pin(answer: Secret) -> bool:
    """Whether `answer` can be a PIN: 6 to 16 bytes, none of them a control character.

    sshd answers with control characters for users that it does not admit.
    """
    with answer.view() as view:
        fits = PIN_MIN <= len(view) <= PIN_MAX and view != SSHD_JUNK
        return fits and all(byte >= 0x20 and byte != 0x7F for byte in view)


async def spend(
    world: World,
    talk: Conversation,
    attempt: Attempt,
    serial: str,
    work: _Work[_T],
    *,
    lasting: bool = False,
    tick: FirstTick | None = None,
) -> _T:
    """Run `work`, which sends the user PIN to the ukey `serial`: in turn, throttled, to its end.

    Raises :class:`Throttled` before anything is sent, and what `work` raises. `lasting` and `tick`
    are as for :func:`in_turn`.
    """
    texts, now = world.texts(attempt.request), asyncio.get_running_loop().time

    async def counted() -> _T:
        world.throttle.check(serial)
        attempt.guessed = True
        begun = now()
        try:
            result = await work()
        except (PinWrong, PinLocked):
            await world.throttle.failed(serial)
            world.turns.took(serial, now() - begun)
            raise
        await world.throttle.passed(serial)
        world.turns.took(serial, now() - begun)
        return result

    return await in_turn(world, talk, texts, serial, counted, lasting=lasting, tick=tick)


async def in_turn(
    world: World,
    talk: Conversation,
    texts: Texts,
    serial: str,
    work: _Work[_T],
    *,
    lasting: bool = False,
    tick: FirstTick | None = None,
) -> _T:
    """Run `work` with the ukey `serial` to itself, and to its end even if the person hangs up.

    `lasting`: it changes something, so that its success counts even if nobody hears of it. `tick`:
    what it must not miss by waiting for its turn, :class:`TickMissed`.
    """
    turns = world.turns
    try:
        async with turns.of(
            serial, lambda: talk.wait(texts.wait_for_turn(), WaitFor.TURN)
        ) as waited:
            if tick is not None:
                tick.start(waited, turns.seconds(serial))
            return await unbroken(
                work(),
                lambda: talk.wait(texts.wait_for_device(), WaitFor.DEVICE),
                lasting=lasting,
            )
    except UkeyError as error:
        error.facts.setdefault("serial", serial)
        raise


async def store(write: Callable[[_W], None], what: _W) -> None:
    """Write to the disk for root, and to the end even if the session is cancelled meanwhile."""
    await unbroken(threads.call(STORE_SECONDS, 0, write, what), _nothing_to_tell, lasting=True)


async def _nothing_to_tell() -> None: ...


def ref_of(binding: Binding) -> KeyRef:
    return KeyRef(binding.application, binding.container)


def deadline(talk: Conversation) -> float:
    """The deadline for a ukey, on the monotonic clock."""
    return asyncio.get_running_loop().time() + talk.remaining() - MOMENT
