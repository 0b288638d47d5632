# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIV card on a desk, and the driver before it without a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.piv.ukey import Piv
from tests.pivcard import state
from tests.pivcard.card import Card
from tests.pivcard.state import StateFile

from .slot import CardSlot

PIN, PUK, WRONG, NEW = b"528491", b"80352917", b"111111", b"90210467"
MANAGEMENT = b"010203040506070801020304050607080102030405060708"
REF = KeyRef("piv", "9A")
ALGORITHMS = ("sm2", "p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519")


class Slot(CardSlot[Card]):
    """A PIV card as the driver holds it."""


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
