# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""TERMINATE DF and ACTIVATE FILE (7.2.16, 7.2.17): a card becomes as it was from the factory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pivcard.apdu import SW, Command, Status

from . import state as states
from .pins import PW3

if TYPE_CHECKING:
    from .card import Card


def _terminate(card: Card, command: Command) -> bytes:
    if command.p1 or command.p2:
        raise Status(SW.BAD_P1P2)
    if PW3 not in card.verified and card.state.pw3.left:
        raise Status(SW.SECURITY_STATUS)
    card.state.terminated = True
    card.save()
    return b""


def _activate(card: Card, command: Command) -> bytes:
    if command.p1 or command.p2:
        raise Status(SW.BAD_P1P2)
    before = card.state
    if not before.terminated:
        return b""
    card.state = states.new(serial=before.serial, pairs={})
    card.state.traits = before.traits
    card.verified.clear()
    card.save()
    return b""


commands = {0xE6: _terminate, 0x44: _activate}
