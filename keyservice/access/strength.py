# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which new PINs are refused although a ukey would take them, and which are warned of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keyservice.core.errors import PinSimple
from keyservice.core.reasons import Reason
from keyservice.core.secret import Secret

from .settings import Rules


def check(pin: Secret, rules: Rules) -> None:
    """Raise :class:`PinSimple` for a new PIN that many would guess: a character that stands too
    often in a row, or a row of digits or letters that counts up or down for too long."""
    if _longest(pin, 0) > rules.pin_same:
        raise PinSimple(why=Reason.PIN_SAME, limit=rules.pin_same)
    if max(_longest(pin, 1), _longest(pin, -1)) > rules.pin_run:
        raise PinSimple(why=Reason.PIN_RUN, limit=rules.pin_run)


def is_plain(pin: Secret) -> bool:
    """Whether every keyboard types it: ASCII alone. No login prompt has an input method, and a
    console has no other layout than its own."""
    with pin.view() as view:
        return all(byte < 0x80 for byte in view)


def _longest(pin: Secret, step: int) -> int:
    """The length of the longest row in `pin` in which each character is the last one and `step`. A
    step other than 0 counts from one digit to a digit, or from one letter to a letter, alone."""
    longest = length = 1
    with pin.view() as view:
        for last, character in pairwise(_characters(view)):
            ordered = step == 0 or (_ordered(last) and _ordered(character))
            counts = ordered and character - last == step
            length = length + 1 if counts else 1
            longest = max(longest, length)
    return longest


def _characters(view: memoryview) -> Iterator[int]:
    """The characters of UTF-8 as numbers, one at a time: a PIN is never in a ``str``. Bytes that
    are no UTF-8 stand for something too."""
    character = -1
    for byte in view:
        if byte & 0xC0 == 0x80 and character >= 0x80:  # it goes on
            character = character << 6 | byte & 0x3F
            continue
        if character >= 0:
            yield character
        character = byte
    if character >= 0:
        yield character


def _ordered(character: int) -> bool:
    """Whether it is an ASCII digit or letter."""
    return character < 0x80 and chr(character).isalnum()
