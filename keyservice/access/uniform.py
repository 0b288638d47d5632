# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""When failures of ``uniform`` logins show: at ticks that only the time of the answer decides."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from keyservice.core.errors import TickMissed

TICK = 2.0  #: seconds; a failure shows at a multiple of this after the answer
#: Seconds before a tick in which no ukey may be at work any more: it may take longer than the
#: last time, and the following steps take time too.
MARGIN = 0.2


def tick(answered: float, now: float) -> float:
    """The first multiple of ``TICK`` after the answer that is not in the past."""
    return answered + max(1, math.ceil((now - answered) / TICK)) * TICK


class FirstTick:
    """The first tick after an answer that came just now, or after the begin if none is asked for; a
    context, in which a login ends.

    The tick at which the last of several simultaneous logins fails would tell whether the password
    was right, since only then they wait for each other at the ukey. So all work before the PIN goes
    to the ukey is given up, :class:`TickMissed`, once it is too late for this tick.
    """

    def __init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self._at = self.began + TICK
        self._limit = asyncio.timeout_at(self._at - MARGIN)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise TickMissed() from None

    def start(self, waited: bool, seconds: float) -> None:
        """The PIN goes to the ukey now, and nothing is given up any more.

        Raises :class:`TickMissed` if the login has waited for others, and `seconds`, which the
        ukey took the last time, do not fit before the tick. A login that has the ukey to itself
        goes on: a ukey that is slower than a tick must let people in as well.
        """
        if waited and asyncio.get_running_loop().time() + seconds > self._at - MARGIN:
            raise TickMissed("Others were at the ukey until it was too late for the tick")
        self._limit.reschedule(None)
