# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which refusals get a line each: whoever is refused without end must not fill the host's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

WINDOW = 60.0  #: seconds
#: Refusals with a line of their own in a window: of one person, of all.
LINES, LINES_OF_ALL = 20, 200
#: People whose other refusals are counted apart.
COUNTED = 32
#: All others, of whom there may be thousands: one person can own 65,536 uids.
OTHERS = "others"


class Flood:
    """Counts refusals, window by window. The first one after a window begins the next."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = 0.0
        self._lines: Counter[int | None] = Counter()
        self._more: Counter[int | str] = Counter()

    def admits(self, person: int | None) -> bool:
        """Whether a refusal of `person` gets a line; where not, it is counted."""
        if self._now() >= self._end and not self._more:
            self._lines.clear()
            self._end = self._now() + WINDOW
        if self._lines[person] < LINES and self._lines.total() < LINES_OF_ALL:
            self._lines[person] += 1
            return True
        name = "unknown" if person is None else person
        self._more[name if name in self._more or len(self._more) < COUNTED else OTHERS] += 1
        return False

    def left(self) -> float:
        """Seconds to the end of the window."""
        return max(0.0, self._end - self._now())

    def take(self) -> list[tuple[int | str, int]]:
        """(person, refusals without a line); the window is over with that."""
        taken = list(self._more.items())
        self._more.clear()
        self._end = 0.0
        return taken
