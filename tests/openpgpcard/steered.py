# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A card that tests steer: its present faults, the finger that touches it, and the log of its
commands."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import fields
from typing import Any

from tests.softkey.misbehave import Faults, Faulty, Reply

from . import attributes, keys
from .card import Card
from .imports import TEMPLATES
from .state import AUTHENTICATION, Password, State, StateFile

_LOG = 65536
_GENERATE, _AUTHENTICATE = 0x47, 0x88
#: What the finger does: it touches the card after so many milliseconds; below 0, never.
_FINGER = "finger"


class Steered:
    """See ``tests.softkey.runner.Steered``."""

    def __init__(self, file: StateFile) -> None:
        """Raises :class:`StateError`: a bad state file."""
        self.card = Card(file)
        self.log: deque[tuple[int, int]] = deque(maxlen=_LOG)  #: (INS, SW)
        self._faulty: Faulty | None = None
        self._busy = 0  # nanoseconds

    @property
    def serial(self) -> str:
        return self.card.state.serial

    def reset(self) -> None:
        self.card.reset()

    def misbehave(self, switches: dict[str, Any]) -> None:
        """Replace all faults. Raises :class:`ValueError`."""
        faults = {entry.name for entry in fields(Faults)}
        for name in switches:
            if name not in faults | {_FINGER}:
                raise ValueError(f"there is no switch {name!r}")
        given = {name: value for name, value in switches.items() if name in faults}
        if "ins" in given:
            given["ins"] = tuple(given["ins"])
        made = Faults(**given)
        finger = float(switches.get(_FINGER, 0))
        self.card.finger = finger / 1000 if finger >= 0 else None
        self._faulty = Misbehaving(self.card, made) if made else None

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        since = time.perf_counter_ns()
        if self._faulty is None:
            reply = Reply(self.card.transmit(apdu))
        else:
            reply = self._faulty.transmit(apdu, inserted_at)
        self._busy += time.perf_counter_ns() - since
        self.log.append((apdu[1], int.from_bytes((reply.answer or b"")[-2:], "big")))
        if reply.pull and self._faulty is not None:
            self._faulty.disarm()
        return reply._replace(delay=reply.delay + self.card.delay)

    def status(self) -> dict[str, Any]:
        return describe(self.card.state) | {
            "running": True,
            "apdus": len(self.log),
            "busy": self._busy / 1e6,
            "misbehaving": {},
            "traits": {},
        }


class Misbehaving(Faulty):
    """A card whose signatures and keys can be wrong."""

    def __init__(self, card: Card, faults: Faults) -> None:
        super().__init__(card, faults)
        self._card = card
        self._others: dict[int, keys.Key] = {}
        self._last = b""  # signature

    def _data(self, apdu: bytes, data: bytes, inserted_at: float) -> bytes:
        if apdu[1] == _AUTHENTICATE and not apdu[0]:
            return self._signed(apdu, data)
        slot = TEMPLATES.get(apdu[5]) if apdu[1] == _GENERATE and len(apdu) > 5 else None
        if slot is not None and self.faults.other_key:
            right = self._card.state.slots[slot].key.public()
            return data.replace(right, self._other(slot).public())
        return data

    def _signed(self, apdu: bytes, right: bytes) -> bytes:
        kind = self.faults.signature
        before, self._last = self._last, right
        if kind == "flipped":
            return right[:-1] + bytes((right[-1] ^ 1,))
        if kind == "zero":
            return bytes(len(right))
        if kind == "out-of-range":
            return b"\xff" * len(right)
        if kind == "replayed":
            return before or right
        if kind == "other-key" or self.faults.other_key:
            return self._other(AUTHENTICATION).sign(apdu[5 : 5 + apdu[4]])
        return right

    def _other(self, slot: int) -> keys.Key:
        """The key that this slot does not hold: the same one each time."""
        if slot not in self._others:
            of = attributes.parse(self._card.state.attributes[slot], slot)
            self._others[slot] = keys.generate(of)
        return self._others[slot]


def describe(state: State) -> dict[str, Any]:
    """The facts about a card that may be shown, in the form that softkeys have."""
    return {
        "serial": state.serial,
        "label": "OpenPGP",
        "running": False,
        "inserted": False,
        "traits": {},
        "applications": [
            {
                "name": "openpgp",
                "user": _tries(state.pw1),
                "admin": _tries(state.pw3),
                "containers": [
                    {"name": str(number), "point": slot.key.public().hex()}
                    for number, slot in state.slots.items()
                ],
            }
        ],
    }


def _tries(password: Password) -> dict[str, Any]:
    return {"left": password.left, "maximum": password.maximum, "default": False}
