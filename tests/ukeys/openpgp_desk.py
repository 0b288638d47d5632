# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An OpenPGP card on a desk, and the driver before it without a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.openpgp.ukey import OpenPgp
from tests.openpgpcard import state
from tests.openpgpcard.card import Card
from tests.openpgpcard.state import StateFile

from .slot import CardSlot

PIN, ADMIN, WRONG, NEW = b"528491", b"80352917", b"111111", b"90210467"
REF = KeyRef("openpgp", "AUT")
ALGORITHMS = ("sm2", "p256", "p384", "rsa2048", "rsa4096", "ed25519")
MESSAGE = b"ukey-login-v1\0" + bytes(range(200))


class Slot(CardSlot[Card]):
    """An OpenPGP card as the driver holds it."""


def insert(folder: Path, **make: Any) -> Slot:
    """A new card. `make`: as for ``openpgpcard.state.new``."""
    given = {"pin": PIN, "admin_pin": ADMIN, "pairs": {"AUT": "p256"}, **make}
    file = StateFile(folder / "card")
    file.path.unlink(missing_ok=True)
    file.create(state.new(**given))
    return Slot(Card(file))


def recognised(slot: Slot) -> OpenPgp:
    ukey = OpenPgp.recognise(slot)
    assert ukey is not None
    slot.commands.clear()
    return ukey


def sign(ukey: OpenPgp, pin: bytes = PIN, keep: TryReserve = TryReserve.LAST) -> bool:
    """Whether it signs a message so that the signature is right."""
    key = ukey.public_key(REF)
    algorithms.check(key)
    with Secret(pin) as secret:
        signature = ukey.sign(REF, secret, algorithms.to_sign(key, MESSAGE), keep)
    return algorithms.verify(key, MESSAGE, signature)
