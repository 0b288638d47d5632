# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What counts in memory and is kept on the disk beside that, for the next start of the service.

A disk that hangs delays sessions until the write that hangs is ``WRITE_SECONDS`` old, and none for
longer than it has. From then on it delays nobody. When it comes back, what is newest is written.
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
        seconds = min(seconds, WRITE_SECONDS - self._shared.running())
        if seconds <= 0:
            self._shared.ask()
            return
        try:
            await self._shared.call(seconds)
        except (LookUpLate, StoreFailed, RecordDamaged) as error:
            self._failed(error)
