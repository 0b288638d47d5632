# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which refusals get a line of their own: nobody may fill the host's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

WINDOW = 60.0  #: seconds
#: Refusals with a line of their own in a window: of one person, of all.
LINES, LINES_OF_ALL = 20, 200
#: The same for root's programs: strangers begin sshd's logins, and must not use up people's lines.
LINES_OF_ROOT = 200
_ROOT = 0
#: People whose further refusals are counted separately.
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
        of_people = self._lines.total() - self._lines[_ROOT]
        if person == _ROOT:
            room = self._lines[_ROOT] < LINES_OF_ROOT
        else:
            room = self._lines[person] < LINES and of_people < LINES_OF_ALL
        if room:
            self._lines[person] += 1
            return True
        name = "unknown" if person is None else person
        apart = name == _ROOT or name in self._more or len(self._more) < COUNTED
        self._more[name if apart else OTHERS] += 1
        return False

    def left(self) -> float:
        """Seconds to the end of the window."""
        return max(0.0, self._end - self._now())

    def take(self) -> list[tuple[int | str, int]]:
        """(person, refusals without a line); this ends the window."""
        taken = list(self._more.items())
        self._more.clear()
        self._end = 0.0
        return taken
