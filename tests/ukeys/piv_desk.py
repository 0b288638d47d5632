# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIV card on a desk, and the driver before it without a pool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.transport.iso7816 import encode_short
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.piv.ukey import Piv
from tests.pivcard import state
from tests.pivcard.card import Card
from tests.pivcard.state import StateFile

PIN, PUK, WRONG, NEW = b"528491", b"80352917", b"111111", b"90210467"
MANAGEMENT = b"010203040506070801020304050607080102030405060708"
REF = KeyRef("piv", "9A")
ALGORITHMS = ("sm2", "p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519")


class Slot:
    """A card as the driver holds it (``CardLink``): each transaction, command and reset is seen."""

    reader = "R"

    def __init__(self, card: Card) -> None:
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

    def transaction(self) -> Slot:
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


def insert(folder: Path, **make: Any) -> Slot:
    """A new card. `make`: as for ``pivcard.state.new``."""
    given = {"pin": PIN, "admin_pin": PUK, "pairs": {"9A": "p256"}, "certificates": False, **make}
    file = StateFile(folder / "card")
    file.path.unlink(missing_ok=True)
    file.create(state.new(**given))
    return Slot(Card(file))


def recognised(slot: Slot) -> Piv:
    ukey = Piv.recognise(slot)
    assert ukey is not None
    slot.commands.clear()
    return ukey


def sign(
    ukey: Piv, pin: bytes = PIN, ref: KeyRef = REF, keep: TryReserve = TryReserve.LAST
) -> bool:
    """Whether it signs a message so that the signature is right."""
    key = ukey.public_key(ref)
    algorithms.check(key)
    message = b"ukey-login-v1\0" + bytes(range(200))
    with Secret(pin) as secret:
        signature = ukey.sign(ref, secret, algorithms.to_sign(key, message), keep)
    return algorithms.verify(key, message, signature)
