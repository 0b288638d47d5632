# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How many calls on the bus may wait for their reply.

The caller is not known yet when this is decided: the bus has to be asked. So up to the limit for
all calls, each connection may have several waiting; beyond it, each may still have one. The bus
lets one uid have 256 connections, so no uid can keep others from their one.
"""

from __future__ import annotations

from collections import Counter

#: The limit of one connection; of all calls, beyond which a connection has one; of all, at most.
PER_SENDER, MANY, ALL = 16, 512, 1024


class Calls:
    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    def admits(self, sender: str) -> bool:
        """Whether one more of `sender` may wait."""
        mine, total = self._waiting[sender], self._waiting.total()
        if total >= MANY:
            return mine == 0 and total < ALL
        return mine < PER_SENDER

    def begun(self, sender: str) -> None:
        self._waiting[sender] += 1

    def ended(self, sender: str) -> None:
        self._waiting[sender] -= 1
        if not self._waiting[sender]:
            del self._waiting[sender]
