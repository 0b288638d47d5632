# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The admin PIN of a ukey, asked for and spent. Its tries are shown first, and the last is kept."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from keyservice.core.errors import (
    AdminPinLocked,
    AdminPinWrong,
    AdminTryWithheld,
    PinLocked,
    PinWrong,
    TryWithheld,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import KeyRef, PinState, TryReserve
from keyservice.ukeys.operations import PIN_STATE, Arguments

from . import lookups, tries
from .context import Context
from .services import UkeyHandle

_T = TypeVar("_T")


async def ask(context: Context, handle: UkeyHandle, ref: KeyRef) -> tuple[Secret, PinState]:
    """What was typed, and the admin PIN's state before. Raises what stands against a try."""
    serial = handle.info.serial
    await tries.check_pause(context, handle, ref, admin=True)
    state = await handle.do(PIN_STATE, Arguments(ref, admin=True), lookups.deadline(context))
    told = context.texts.admin_tries_left(state.left)
    await context.conversation.info(told if state.told else context.texts.admin_tries_untold())
    with _named():
        tries.require_tries(state, serial, TryReserve.LAST)
    return await tries.ask_pin(context, handle, context.texts.admin_pin(serial)), state


async def spend(
    context: Context,
    handle: UkeyHandle,
    ref: KeyRef,
    before: PinState,
    work: Callable[[], Coroutine[Any, Any, _T]],
) -> _T:
    """Run `work`, which sends the admin PIN and changes something: as :func:`tries.spend`."""
    with _named():
        return await tries.spend(context, handle, ref, work, admin=before, lasting=True)


@contextmanager
def _named() -> Iterator[None]:
    """What is wrong with a PIN in the block is wrong with the admin PIN."""
    try:
        yield
    except PinWrong as error:
        raise AdminPinWrong("", **error.facts) from None
    except PinLocked as error:
        raise AdminPinLocked("", **error.facts) from None
    except TryWithheld as error:
        raise AdminTryWithheld("", **error.facts) from None
