# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated card of any kind as a driver holds it, without a reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from keyservice.transport.iso7816 import encode_short


class UnderPower(Protocol):
    """An emulated card."""

    def transmit(self, apdu: bytes) -> bytes: ...
    def reset(self) -> None: ...


C = TypeVar("C", bound=UnderPower)


class CardSlot(Generic[C]):
    """A card as the driver holds it (``CardLink``): each transaction, command and reset is seen."""

    reader = "R"

    def __init__(self, card: C) -> None:
        self.card = card
        self.generation = 0
        self.commands: list[bytes] = []
        self.resets = 0
        self.spoil: Callable[[bytes, bytes], bytes] = lambda _command, answer: answer

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        assert self.held, "a command outside a transaction"
        sent = bytes(command)
        self.commands.append(sent)
        answer = self.spoil(sent, self.card.transmit(sent))
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    held = False

    def transaction(self) -> CardSlot[C]:
        return self

    def __enter__(self) -> None:
        self.held = True

    def __exit__(self, *_: object) -> None:
        self.held = False

    def reset(self) -> None:
        self.resets += 1
        self.generation += 1
        self.card.reset()

    def instructions(self) -> list[int]:
        """The INS of each command since the last call."""
        told = [command[1] for command in self.commands]
        self.commands.clear()
        return told

    def another_program(self, ins: int, p1: int, p2: int, data: bytes = b"") -> int:
        """What the card answers to a program that shares it."""
        answer = self.card.transmit(bytes(encode_short(0, ins, p1, p2, data)))
        return int.from_bytes(answer[-2:], "big")
