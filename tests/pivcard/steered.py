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

from . import keys
from .apdu import objects, tlv
from .card import Card
from .state import Reference, State, StateFile

_LOG = 65536
_AUTHENTICATE, _METADATA, _GET_DATA = 0x87, 0xF7, 0xCB
#: What the finger does: it touches the card after so many milliseconds; below 0, never.
_FINGER = "finger"
#: Ed25519 signs the first 32 bytes and no more, as a firmware does.
_FIRST_BYTES = "first_bytes_only"


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
            if name not in faults | {_FINGER, _FIRST_BYTES}:
                raise ValueError(f"there is no switch {name!r}")
        given = {name: value for name, value in switches.items() if name in faults}
        if "ins" in given:
            given["ins"] = tuple(given["ins"])
        made = Faults(**given)
        finger = float(switches.get(_FINGER, 0))
        self.card.finger = finger / 1000 if finger >= 0 else None
        self.card.first_bytes_only = bool(switches.get(_FIRST_BYTES, False))
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
        reference = apdu[3]
        slot = self._card.state.slots.get(reference)
        ins, clone = apdu[1], self.faults.other_key
        if ins == _METADATA and slot is not None and clone:
            return data[: data.rindex(slot.key.public()) - _head(slot.key.public())] + tlv(
                0x04, self._other(reference).public()
            )
        if ins == _GET_DATA and clone:
            for number, each in self._card.state.slots.items():
                if each.key.public()[4:] in data:
                    return self._with_other_key(number, data)
        if ins == _AUTHENTICATE and slot is not None and not apdu[0]:
            return self._signed(reference, apdu, data)
        return data

    def _with_other_key(self, number: int, data: bytes) -> bytes:
        """A certificate object with another key in it: the signature of such a clone is its own."""
        ours, other = self._card.state.slots[number].key.public(), self._other(number).public()
        return data.replace(ours[2:], other[2:]) if len(ours) == len(other) else data

    def _signed(self, reference: int, apdu: bytes, data: bytes) -> bytes:
        kind = self.faults.signature
        right = objects(objects(data)[0x7C])[0x82]
        before, self._last = self._last, right
        if kind == "flipped":
            right = right[:-1] + bytes((right[-1] ^ 1,))
        elif kind == "zero":
            right = bytes.fromhex("3006020100020100")
        elif kind == "out-of-range":
            right = bytes.fromhex("3046022100") + b"\xff" * 32 + b"\x02\x21\0" + b"\xff" * 32
        elif kind == "replayed":
            right = before or right
        elif kind == "other-key" or self.faults.other_key:
            given = objects(apdu[5 : 5 + apdu[4]])
            right = self._other(reference).sign(objects(given[0x7C])[0x81])
        return tlv(0x7C, tlv(0x82, right))

    def _other(self, reference: int) -> keys.Key:
        """The key that this slot does not hold: the same one each time."""
        if reference not in self._others:
            algorithm = self._card.state.slots[reference].algorithm
            self._others[reference] = keys.generate(algorithm)
        return self._others[reference]


def _head(value: bytes) -> int:
    """Bytes of tag and length before `value`."""
    return len(tlv(0x04, value)) - len(value)


def describe(state: State) -> dict[str, Any]:
    """The facts about a card that may be shown, in the form that softkeys have."""
    return {
        "serial": state.serial,
        "label": "PIV",
        "running": False,
        "inserted": False,
        "traits": {},
        "applications": [
            {
                "name": "piv",
                "user": _tries(state.pin),
                "admin": _tries(state.puk),
                "containers": [
                    {"name": f"{reference:02X}", "point": slot.key.public().hex()}
                    for reference, slot in state.slots.items()
                ],
            }
        ],
    }


def _tries(reference: Reference) -> dict[str, Any]:
    return {
        "left": reference.left,
        "maximum": reference.maximum,
        "default": reference.is_default,
    }
