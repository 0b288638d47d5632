# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which of the operators' lines are written: no kind of line may fill the host's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

WINDOW = 60.0  #: seconds
LINES = 20  #: of a kind, in a window


class Repeats:
    """Counts lines of one kind, which differ only in what they name, window by window."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = 0.0
        self._lines: Counter[str] = Counter()

    def admits(self, kind: str) -> bool:
        """Whether one more of `kind` is written."""
        self._lines[kind] += 1
        return self._lines[kind] <= LINES

    def over(self, *, now: bool = False) -> list[tuple[str, int]]:
        """(kind, lines that were not written), once for each window that has passed; or `now`."""
        if self._now() < self._end and not now:
            return []
        more = [(kind, count - LINES) for kind, count in self._lines.items() if count > LINES]
        self._lines.clear()
        self._end = self._now() + WINDOW
        return more
