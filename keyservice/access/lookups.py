# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The slow parts of this host: the name service, the disk, a ukey; and how long each may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar

from keyservice.core import threads
from keyservice.core.threads import Budget

from .context import Context
from .turns import unbroken

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Seconds before the session's deadline at which a ukey or this host counts as late, so that this
#: is told apart from a late person.
MOMENT = 0.1
#: Seconds that a change of the records may take, if the session has so many left.
STORE_SECONDS = 10.0


def budget(context: Context) -> Budget:
    """What a look-up may take: the threads of the person it is for, until the session's end."""
    return Budget(context.conversation.originator_uid, left(context))


async def look_up(
    context: Context, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """The result of `function` on this host, which may be slow. Raises what it raises, and
    :class:`LookUpLate`."""
    return await threads.call(budget(context), function, *args, **kwargs)


async def store(context: Context, change: Callable[[Budget], Coroutine[Any, Any, None]]) -> None:
    """Change the records for root, and to the end even if the session is cancelled meanwhile.

    A change that ends only after :class:`LookUpLate` has its own line in the log.
    """
    late = partial(context.services.audit.late, context)
    within = Budget(0, min(STORE_SECONDS, left(context)), late)
    await unbroken(change(within), _nothing_to_tell, lasting=True)


async def _nothing_to_tell() -> None: ...


def left(context: Context) -> float:
    """Seconds that are left for what no person does."""
    return context.conversation.remaining() - MOMENT


def deadline(context: Context) -> float:
    """The deadline for a ukey, on the monotonic clock."""
    return asyncio.get_running_loop().time() + left(context)
