# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (SP 800-73-4, part 2, 3.2.1 to 3.2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.softkey.state import StateError

from .apdu import SW, Command, Status
from .state import PIN_BYTES, Reference

if TYPE_CHECKING:
    from .card import Card

PIN, PUK = 0x80, 0x81
_MIN = 6
_LOG_OUT = 0xFF


def _verify(card: Card, command: Command) -> bytes:
    if command.p1 not in (0, _LOG_OUT):
        raise Status(SW.BAD_P1P2)
    if command.p2 != PIN:
        raise Status(SW.NO_REFERENCE)
    if command.p1 == _LOG_OUT:
        if command.data:
            raise Status(SW.BAD_DATA)
        card.verified = card.fresh = False
        return b""
    pin = card.state.pin
    if not command.data:
        if card.verified:
            return b""
        # which of both a blocked PIN gets is not the same on all cards
        blocked = SW.WRONG_PIN if card.state.vendor else SW.BLOCKED
        raise Status(SW.WRONG_PIN | min(pin.left, 15) if pin.left else blocked)
    card.verified = card.fresh = False
    _present(card, pin, command.data)
    card.verified = card.fresh = True
    return b""


def _change(card: Card, command: Command) -> bytes:
    if command.p1:
        raise Status(SW.BAD_P1P2)
    reference = {PIN: card.state.pin, PUK: card.state.puk}.get(command.p2)
    if reference is None:
        raise Status(SW.NO_REFERENCE)
    old, new = _halves(command.data)
    _check_form(card, new, digits=command.p2 == PIN)
    if command.p2 == PIN:
        card.verified = card.fresh = False
    _present(card, reference, old)
    reference.value = new
    card.save()
    if command.p2 == PIN:
        card.verified = True
    return b""


def _unblock(card: Card, command: Command) -> bytes:
    if command.p1:
        raise Status(SW.BAD_P1P2)
    if command.p2 != PIN:
        raise Status(SW.NO_REFERENCE)
    puk, new = _halves(command.data)
    _check_form(card, new, digits=True)
    _present(card, card.state.puk, puk)
    pin = card.state.pin
    pin.value, pin.left = new, pin.maximum
    card.verified = card.fresh = False
    card.save()
    return b""


def _halves(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 2 * PIN_BYTES:
        raise Status(SW.BAD_DATA)
    return data[:PIN_BYTES], data[PIN_BYTES:]


def _present(card: Card, reference: Reference, value: bytes) -> None:
    """Spend a try, on record before anything is compared; the right value earns all tries back."""
    if not reference.left:
        raise Status(SW.BLOCKED)
    if len(value) != PIN_BYTES:
        raise Status(SW.WRONG_LENGTH if card.state.vendor else SW.BAD_DATA)
    _check_form(card, value, digits=reference is card.state.pin)
    reference.left -= 1
    try:
        card.save()
    except StateError:
        reference.left += 1
        raise
    if value != reference.value:
        raise Status(SW.WRONG_PIN | min(reference.left, 15))
    reference.left = reference.maximum
    card.save()


def _check_form(card: Card, value: bytes, *, digits: bool) -> None:
    """A plain card takes no other PIN than one of 6 to 8 digits (SP 800-73-4, part 2, 2.4.3). That
    costs no try."""
    content = value.rstrip(b"\xff")
    if not card.state.vendor and (len(content) < _MIN or (digits and not content.isdigit())):
        raise Status(SW.BAD_DATA)


commands = {0x20: _verify, 0x24: _change, 0x2C: _unblock}
