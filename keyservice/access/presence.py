# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a certain ukey is there, and whether it is really that one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from keyservice.contract.names import Flag, WaitFor
from keyservice.core.errors import (
    KeyMismatch,
    NoKeyPair,
    ReaderAbsent,
    ReaderRefused,
    SerialTwice,
    UkeyAbsent,
    UkeyAmbiguous,
    UkeyError,
    UkeyHeld,
    UkeyRemoved,
    UkeyRestarted,
    UkeysAbsent,
)
from keyservice.core.reasons import Reason
from keyservice.store.records import Binding
from keyservice.ukeys.base import KeyRef

from . import lookups, twins
from .context import Context
from .messages import UkeyName, ukey_name
from .services import UkeyHandle

_T = TypeVar("_T")

#: The errors that the insertion of a ukey can end, or some time: pcscd may start after a login.
_AWAITED = (UkeyAbsent, ReaderAbsent, ReaderRefused, UkeyHeld)
#: Seconds in which a ukey that went while it was in use is back, if nobody took it out.
_BACK = 2.0

#: How often a person who sees nothing but prompts is asked to insert it; the seconds that pcscd and
#: the ukey have before, since it may have been inserted just now, and after each.
_ASKED, _MOMENT = 3, 2.5


async def find(context: Context, serial: str, patience: float) -> UkeyHandle:
    """The ukey `serial`; if it is absent, ask for it and wait up to `patience` seconds.

    Raises :class:`ReaderAbsent`, :class:`UkeyAbsent`, :class:`SerialTwice`, :class:`UkeyHeld`,
    :class:`ReaderRefused`.
    """
    (found,) = await _find_any(context, {serial: ukey_name(serial)}, patience)
    return found


async def find_any(
    context: Context, bindings: Sequence[Binding], patience: float
) -> list[UkeyHandle]:
    """Those of a person's ukeys that are inserted, in the order of `bindings`; if none is, ask for
    one and wait up to `patience` seconds.

    Raises as :func:`find`; :class:`UkeysAbsent` in place of :class:`UkeyAbsent` for several.
    """
    names = {each.serial: ukey_name(each.serial, each.label) for each in bindings}
    return await _find_any(context, names, patience)


async def _find_any(
    context: Context, names: Mapping[str, UkeyName], patience: float
) -> list[UkeyHandle]:
    """`names`: how texts name the ukeys, by their serials."""
    await context.services.ukeys.settled(lookups.deadline(context), *names)
    insert = context.texts.insert(list(names.values()))
    try:
        found = await present(context, insert, patience, lambda: _look(context, names))
    except SerialTwice as error:
        raise await twins.told_apart(context, error) from None
    if context.services.rules.allow_virtual_readers:
        return found
    real = [each for each in found if not each.info.virtual]
    if not real:
        raise ReaderRefused("Virtual readers are not allowed", reader=found[0].info.reader)
    return real


def _look(context: Context, names: Mapping[str, UkeyName]) -> list[UkeyHandle]:
    """The ukeys that are there. If there is none, what is wrong with one is told before that others
    are absent."""
    found: list[UkeyHandle] = []
    errors: list[UkeyError] = []
    for serial in names:
        try:
            found.append(context.services.ukeys.find(serial))
        except (UkeyAmbiguous, *_AWAITED) as error:
            errors.append(error)
    if found:
        return found
    for each in errors:
        if not isinstance(each, UkeyAbsent):
            raise each
    if len(names) > 1:
        raise UkeysAbsent(ukeys=", ".join(names.values()))
    raise errors[0]


async def present(context: Context, insert: str, patience: float, look: Callable[[], _T]) -> _T:
    """What `look` finds, at once or as soon as an insertion lets it find something.

    `insert` asks the person for what is missing. If there is no ukey, or only one in a reader that
    is refused, what `look` raises is raised after `patience` seconds.
    """
    changed = asyncio.Event()
    forget = context.services.ukeys.subscribe(lambda _event: changed.set())
    try:
        try:
            return look()
        except _AWAITED as error:
            if patience <= 0:
                raise
            if not isinstance(error, UkeyAbsent):  # inserting the ukey would not help
                await context.conversation.info(context.texts.error(error))
        if not context.conversation.prompted:
            await context.conversation.wait(insert, WaitFor.UKEY)
            return await _within(patience, changed, look)
        moment = min(patience, _MOMENT)
        for _ in range(_ASKED):
            with suppress(*_AWAITED):
                return await _within(moment, changed, look)
            await context.conversation.wait(insert, WaitFor.UKEY)  # until they press Enter
        return await _within(moment, changed, look)
    finally:
        forget()


async def _within(seconds: float, changed: asyncio.Event, look: Callable[[], _T]) -> _T:
    """What `look` finds, now or after a change; after so many seconds, what it raises."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                with suppress(*_AWAITED):
                    return look()
                await changed.wait()
                changed.clear()
    return look()


@asynccontextmanager
async def in_use(context: Context) -> AsyncIterator[None]:
    """For all that is done with a ukey once it was found, and for all prompts between: if it goes,
    the error says whether it is back.

    If it is, as when its reader is reset and found again, :class:`UkeyRestarted`; if it is not,
    somebody took it out: :class:`UkeyRemoved`. Under ``uniform`` nobody waits to learn that.
    """
    try:
        yield
    except (UkeyRemoved, ReaderAbsent) as error:
        serial = context.serial
        if isinstance(error, ReaderAbsent) and "reader" not in error.facts:
            raise  # it is not the reader that has gone
        if Flag.UNIFORM not in context.request.flags and await _comes_back(context, serial):
            raise UkeyRestarted(serial=serial, why=Reason.CAME_BACK) from error
        raise UkeyRemoved(serial=serial) from error


def used(operation: Callable[[Context], Awaitable[_T]]) -> Callable[[Context], Awaitable[_T]]:
    """`operation` as a whole is what is done with a ukey (:func:`in_use`)."""

    async def told(context: Context) -> _T:
        async with in_use(context):
            return await operation(context)

    return told


async def _comes_back(context: Context, serial: str) -> bool:
    ukeys, changed = context.services.ukeys, asyncio.Event()
    forget = ukeys.subscribe(lambda _event: changed.set())
    try:
        with suppress(UkeyAmbiguous, *_AWAITED):
            seconds = min(_BACK, context.conversation.remaining())
            await _within(seconds, changed, lambda: ukeys.find(serial))
            return True
        return False
    finally:
        forget()


async def check_key(context: Context, handle: UkeyHandle, binding: Binding) -> None:
    """Raise :class:`KeyMismatch` unless the ukey shows the bound key."""
    shown = await handle.public_key(ref_of(binding), lookups.deadline(context))
    if shown != binding.key:
        raise KeyMismatch(serial=binding.serial, reader=handle.info.reader)


async def is_bound_one(context: Context, handle: UkeyHandle, binding: Binding) -> bool:
    """Whether it shows the bound key, and not only the serial."""
    try:
        return await handle.public_key(ref_of(binding), lookups.deadline(context)) == binding.key
    except NoKeyPair:
        return False


def ref_of(binding: Binding) -> KeyRef:
    return KeyRef(binding.application, binding.container)
