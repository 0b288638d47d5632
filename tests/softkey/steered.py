# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A card that tests steer: its present faults, and the log of its commands.

It is the same behind a virtual reader (``runner``) and in a test's own process.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import fields
from typing import Any

from .card import Card
from .misbehave import Faults, Misbehaving, Reply
from .state import Pin, State, StateFile
from .switches import changed
from .traits import Traits

#: APDUs that are remembered for ``Control.apdus()``
_LOG = 65536


class Steered:
    """A card, its faults and its log."""

    def __init__(self, file: StateFile) -> None:
        """Raises :class:`StateError`: a bad state file."""
        self.card = Card(file)
        self.log: deque[tuple[int, int]] = deque(maxlen=_LOG)  #: (INS, SW)
        self._faulty: Misbehaving | None = None
        self._busy = 0  # nanoseconds

    @property
    def serial(self) -> str:
        return self.card.state.serial

    def misbehave(self, switches: dict[str, Any]) -> None:
        """Replace faults and temporary traits. Raises :class:`ValueError`."""
        faults = {entry.name for entry in fields(Faults)}
        traits = {entry.name for entry in fields(Traits)}
        for name in switches:
            if name not in faults | traits:
                raise ValueError(f"there is no switch {name!r}")
        given = {name: value for name, value in switches.items() if name in faults}
        if "ins" in given:
            given["ins"] = tuple(given["ins"])
        made = Faults(**given)
        self.card.adopt(**{name: switches[name] for name in switches if name in traits})
        self._faulty = Misbehaving(self.card, made) if made else None

    def reset(self) -> None:
        """Power on, or a reset."""
        self.card.reset()

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        """Run one command APDU. `inserted_at` is a monotonic time, in seconds."""
        if self._faulty is None:
            since = time.perf_counter_ns()
            answer = self.card.transmit(apdu)
            self._busy += time.perf_counter_ns() - since
            self.log.append((apdu[1], answer[-2] << 8 | answer[-1]))
            return Reply(answer)
        reply = self._faulty.transmit(apdu, inserted_at)
        self.log.append((apdu[1], int.from_bytes((reply.answer or b"")[-2:], "big")))
        if reply.pull:
            self._faulty.disarm()
        return reply

    def status(self) -> dict[str, Any]:
        """As ``Control.status()`` has it, without the reader."""
        return describe(self.card.state) | {
            "running": True,
            "apdus": len(self.log),
            "busy": self._busy / 1e6,
            "misbehaving": changed(self._faulty.faults) if self._faulty else {},
            "traits": changed(self.card.traits),
        }


def describe(state: State) -> dict[str, Any]:
    """The facts about a ukey that may be shown: no PIN, no private key."""
    return {
        "serial": state.serial,
        "label": state.label,
        "running": False,
        "inserted": False,
        "traits": changed(state.traits),
        "device_tries_left": state.device.left,
        "applications": [
            {
                "name": application.name,
                "user": _tries(application.user),
                "admin": _tries(application.admin),
                "containers": [
                    {
                        "name": container.name,
                        "point": container.key.point.hex() if container.key else None,
                    }
                    for container in application.containers
                ],
            }
            for application in state.applications
        ],
    }


def _tries(pin: Pin) -> dict[str, Any]:
    return {"left": pin.left, "maximum": pin.maximum, "default": pin.default}
