# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The toy kind of ``tests/seams`` for the suite. It shows that the suite is nobody's own, and that
what a kind cannot do is refused."""

from __future__ import annotations

from typing import Any

from keyservice.ukeys.base import Evidence, KeyRef
from tests.seams.toy_card import PIN, PUBLIC, WRONG, ToyCard
from tests.seams.toy_kind import DIGEST_BYTES, MAXIMUM, REF
from tests.seams.toy_kind import TOY as KIND
from tests.softkey.misbehave import Faults, Misbehaving, Reply

from .example import Example


class ToyDevice:
    """See :class:`tests.ukeys.behaviour.example.Device`."""

    def __init__(self, serial: str) -> None:
        self._card = ToyCard(serial)
        self.misbehave({})

    def reset(self) -> None:
        self._card.reset()

    def clear(self) -> None:
        raise NotImplementedError("its kind makes no pairs")

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        reply = self._faulty.transmit(apdu, inserted_at)
        if reply.pull:
            self._faulty.disarm()
        return reply

    def misbehave(self, switches: dict[str, Any]) -> None:
        self._faulty = Misbehaving(_Answers(self._card), Faults(**switches))

    @property
    def authorised(self) -> bool:
        return self._card.verified

    def tries(self, *, admin: bool = False) -> int:
        return self._card.left

    def set_tries(self, left: int, *, admin: bool = False) -> None:
        self._card.left = left

    def key(self, ref: KeyRef) -> bytes | None:
        return PUBLIC if ref == REF else None

    def verifies(self, ref: KeyRef, data: bytes, signature: bytes) -> bool:
        return ref == REF and signature == data[::-1]

    def vouches(self, ref: KeyRef, evidence: Evidence) -> bool:
        raise NotImplementedError("a toy vouches for nothing")


class _Answers:
    """See :class:`tests.softkey.misbehave.Card`."""

    def __init__(self, card: ToyCard) -> None:
        self.transmit = card.answer

    def earlier_signature(self, ids: bytes) -> bytes:
        raise NotImplementedError("a toy's signatures are its own")


TOY = Example(
    kind=KIND,
    make=ToyDevice,
    maximum=MAXIMUM,
    ref=REF,
    absent=(KeyRef("none", REF.container), KeyRef(REF.application, "none")),
    algorithm="toy",
    data=bytes(range(DIGEST_BYTES)),
    unfit=(b"", bytes(DIGEST_BYTES - 1), bytes(DIGEST_BYTES + 1)),
    pin=PIN,
    wrong=WRONG,
)
