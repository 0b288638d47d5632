# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (7.2.2 to 7.2.4).

81 and 82 are one PIN, PW1, and one counter: 81 lets the first key sign, 82 lets the others work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pivcard.apdu import SW, Command, Status
from tests.softkey.state import StateError

from .state import PIN_MAX, PW1_MIN, PW3_MIN, Password

if TYPE_CHECKING:
    from .card import Card

PW1_SIGN, PW1, PW3 = 0x81, 0x82, 0x83
_LOG_OUT = 0xFF
_BY_CODE, _BY_ADMIN = 0, 2


def _password(card: Card, reference: int) -> Password:
    if reference in (PW1_SIGN, PW1):
        return card.state.pw1
    if reference == PW3:
        return card.state.pw3
    raise Status(SW.NO_REFERENCE)


def _verify(card: Card, command: Command) -> bytes:
    password = _password(card, command.p2)
    if command.p1 == _LOG_OUT and card.state.traits.log_out:
        if command.data:
            raise Status(SW.WRONG_LENGTH)
        card.verified.discard(command.p2)
        return b""
    if command.p1:
        raise Status(SW.BAD_P1P2)
    if not command.data:
        if command.p2 in card.verified:
            return b""
        raise Status(SW.WRONG_PIN | password.left)
    card.verified.discard(command.p2)
    _present(card, password, command.data)
    card.verified.add(command.p2)
    return b""


def _change(card: Card, command: Command) -> bytes:
    """The card knows how long the old value is: what follows is the new one."""
    if command.p1 or command.p2 not in (PW1_SIGN, PW3):
        raise Status(SW.BAD_P1P2)
    password = _password(card, command.p2)
    size = len(password.value)
    old, new = command.data[:size], command.data[size:]
    _present(card, password, old)
    _check_new(new, PW3_MIN if command.p2 == PW3 else PW1_MIN)
    password.value = new
    card.save()
    return b""


def _unblock(card: Card, command: Command) -> bytes:
    if command.p2 != PW1_SIGN or command.p1 not in (_BY_CODE, _BY_ADMIN):
        raise Status(SW.BAD_P1P2)
    new = command.data
    if command.p1 == _BY_ADMIN:
        if PW3 not in card.verified:
            raise Status(SW.SECURITY_STATUS)
        _check_new(new, PW1_MIN)
    else:
        code = card.state.resetting
        size = len(code.value)
        _present(card, code, new[:size])
        new = new[size:]
        _check_new(new, PW1_MIN)
    card.state.pw1.value, card.state.pw1.left = new, card.state.pw1.maximum
    card.verified -= {PW1_SIGN, PW1}
    card.save()
    return b""


def _check_new(value: bytes, least: int) -> None:
    if not least <= len(value) <= PIN_MAX:
        raise Status(SW.WRONG_LENGTH)


def _present(card: Card, password: Password, value: bytes) -> None:
    """Spend a try, on record before anything is compared; the right value earns all tries back."""
    if not password.left:
        raise Status(SW.BLOCKED)
    if len(value) > PIN_MAX:
        raise Status(SW.WRONG_LENGTH)
    password.left -= 1
    try:
        card.save()
    except StateError:
        password.left += 1
        raise
    if value != password.value:
        if card.state.traits.counts:
            raise Status(SW.WRONG_PIN | password.left)
        raise Status(SW.SECURITY_STATUS)
    password.left = password.maximum
    card.save()


commands = {0x20: _verify, 0x24: _change, 0x2C: _unblock}
