# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A reader with an emulated ukey of one kind, and the kind's driver on the real transport."""

from __future__ import annotations

from typing import Any, NamedTuple

from keyservice.core.errors import PinWrong
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport import pcsc
from keyservice.ukeys.base import Evidence, KeyRef, TryReserve
from keyservice.ukeys.kind import Ukey
from keyservice.ukeys.operations import ATTEST, GENERATE, SIGN, VERIFY_PIN, Arguments
from tests.inprocess.pcscd import Pcscd
from tests.softkey.misbehave import Reply

from .example import Device, Example
from .tasks import Task

READER = "Virtual PCD 00 00"


class Answered(NamedTuple):
    """A command's code, and the bytes of data that its answer brought."""

    ins: int
    length: int


class _InReader:
    """The device, as pcscd sees it; it remembers what it was told."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.answers: list[Answered] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1
        self.device.reset()

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        reply = self.device.transmit(apdu, inserted_at)
        self.answers.append(Answered(apdu[1], max(0, len(reply.answer or b"") - 2)))
        return reply


class Desk:
    """The reader. It holds a ukey from the factory, and :attr:`ukey` has just been recognised."""

    def __init__(self, example: Example, pcscd: Pcscd) -> None:
        self.example: Example = example
        self._pcscd = pcscd
        self.renew()

    # -- what is in the reader

    def renew(self) -> Ukey:
        """Put another ukey from the factory into the reader; what its kind makes of it."""
        self.change()
        self.ukey = self.recognised()
        return self.ukey

    def change(self, serial: str = "") -> None:
        """Put another ukey into the reader, and nobody is told."""
        self._pcscd.remove(READER)
        self.device = self.example.make(serial or self.serial)
        self._inside = _InReader(self.device)
        self.insert()

    @property
    def serial(self) -> str:
        return self.example.serials[0]

    def insert(self) -> None:
        self._pcscd.insert(READER, self._inside)

    def remove(self) -> None:
        self._pcscd.remove(READER)

    def misbehave(self, **faults: Any) -> None:
        self.device.misbehave(faults)

    def behave(self) -> None:
        self.device.misbehave({})

    def forget(self) -> None:
        """Another program resets the card."""
        other = pcsc.Card(READER)
        with other.transaction():
            other.reset()

    # -- what the kind does with it

    def recognised(self) -> Ukey:
        found = self.example.kind.recognise(pcsc.Card(READER))
        assert found is not None
        return found

    def run(self, task: Task) -> object:
        """Have the driver do it: nothing, or what it brought. Where a ukey has one container, it is
        empty before a pair is made."""
        if task.operation is GENERATE and self.example.one_container:
            self.device.clear()
        return task.operation.run(self.ukey, task.arguments(self.example))

    def trial(self, task: Task) -> list[Answered]:
        """What the commands of `task` bring, on a ukey that has just been recognised."""
        self.renew()
        self.answers()
        assert self.is_right(task, self.run(task))
        return self.answers()

    def answers(self) -> list[Answered]:
        """What the commands since the last call have brought."""
        told = self._inside.answers[:]
        self._inside.answers.clear()
        return told

    @property
    def resets(self) -> int:
        """How often the card was reset since it was made, insertions included."""
        return self._inside.resets

    def generate(self, ref: KeyRef | None = None) -> PublicKey:
        """Have the driver make a pair."""
        place = ref or self.example.new
        assert place is not None
        with Secret(self.example.made_with or self.example.pin) as pin:
            return GENERATE.run(self.ukey, Arguments(place, pin=pin))

    # -- what must hold

    def is_right(self, task: Task, result: object) -> bool:
        """Whether `task` has succeeded, by the device's own word."""
        arguments = task.arguments(self.example)
        if task.operation is SIGN:
            assert isinstance(result, bytes)
            return self.device.verifies(arguments.place, arguments.data, result)
        if task.operation is ATTEST:
            assert isinstance(result, Evidence)
            return self.device.vouches(arguments.place, result)
        return bool(task.expected(self) == result)

    def check_left(self) -> None:
        """After an operation, however it ended: the card is free, nobody is logged in, and no
        count of tries is claimed that the card does not have."""
        self.check_left_but_for_tries()
        seen = self.ukey.seen_pin
        assert seen is None or seen.left == self.device.tries()

    def check_left_but_for_tries(self) -> None:
        """The same where the ukey has lied about its tries."""
        assert not self._pcscd.is_held(READER)
        assert not self.device.authorised

    def check_usable(self) -> None:
        """A ukey that has failed is in order again: exactly one of the PINs is right, all tries
        are there then, and it signs."""
        self.behave()
        self.ukey = self.recognised()
        right = [pin for pin in self._pins if self._is_pin(pin)]
        assert len(right) == 1
        if self.example.one_container and self.device.key(self.example.ref) is None:
            self.generate()
        with Secret(right[0]) as pin:
            sign = Arguments(self.example.ref, pin=pin, data=self.example.data)
            signature = SIGN.run(self.ukey, sign)
        assert self.device.verifies(self.example.ref, self.example.data, signature)
        assert self.device.tries() == self.example.maximum
        self.check_left()

    @property
    def _pins(self) -> list[bytes]:
        return [pin for pin in (self.example.next_pin, self.example.pin) if pin]

    def _is_pin(self, pin: bytes) -> bool:
        with Secret(pin) as secret:
            verify = Arguments(self.example.ref, pin=secret, reserve=TryReserve.NONE)
            try:
                VERIFY_PIN.run(self.ukey, verify)
            except PinWrong:
                return False
        return True
