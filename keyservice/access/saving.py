# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What counts in memory and is kept on the disk beside that, for the next start of the service.

A disk that hangs delays the sessions that meet it first, for ``WRITE_SECONDS`` at most and no
longer than they have. Later ones it does not delay at all, for as long as that write hangs. When it
comes back, what is newest is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from keyservice.core import threads
from keyservice.core.errors import LookUpLate, RecordDamaged, StoreFailed, UkeyError

#: Seconds that a write may take before it counts in memory only.
WRITE_SECONDS = 2.0

_T = TypeVar("_T")


class Saving:
    """Writes the newest state. On the event loop's thread."""

    def __init__(
        self,
        write: Callable[[_T], None],
        newest: Callable[[], _T],
        failed: Callable[[UkeyError], None],
    ) -> None:
        """`newest` returns what `write`, which blocks, writes next. `failed` is told why a session
        went on without it."""
        self._shared = threads.Shared(lambda: partial(write, newest()))
        self._failed = failed

    async def save(self, seconds: float = WRITE_SECONDS) -> None:
        """Return once the present state is on the disk, or is in memory only.

        `seconds`: what is left to the session; without any, nobody waits for the write.
        """
        if seconds <= 0 or self._shared.running() >= WRITE_SECONDS:
            self._shared.ask()
            return
        try:
            await self._shared.call(min(seconds, WRITE_SECONDS))
        except (LookUpLate, StoreFailed, RecordDamaged) as error:
            self._failed(error)
