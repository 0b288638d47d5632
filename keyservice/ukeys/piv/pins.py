# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The PIN and the PUK: their tries, and the commands that spend them (SP 800-73-4, part 2, 3.2).

A PUK is the admin PIN of other ukeys. No command of the standard tells its tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keyservice.core.errors import PinLocked, PinRefused, PinWrong
from keyservice.core.secret import Secret, wipe
from keyservice.transport.iso7816 import SW, CardError, Commands, ResponseError
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.spending import spendable

from .data import (
    P1_LOG_OUT,
    PIN_BYTES,
    TRIES_ASSUMED,
    Ins,
    Metadata,
    Reference,
    assumed_state,
)
from .settings import PIN_RULE

_NO_LOG_OUT = frozenset((SW.BAD_P1P2, SW.BAD_DATA, SW.NO_FUNCTION, SW.WRONG_LENGTH))
#: The card did not take it for a PIN at all, which costs no try.
_NO_PIN = frozenset((SW.WRONG_LENGTH, SW.BAD_DATA))


class Pins:
    """Those of one card, whose application is selected."""

    def __init__(self, commands: Commands, metadata: Callable[[int], Metadata | None]) -> None:
        self._commands, self._metadata = commands, metadata
        #: The PIN's state as the last operation saw it, None where it saw none.
        self.seen: PinState | None = None
        self._puk_left: int | None = None  #: as the last wrong PUK told

    def forget(self) -> None:
        self._puk_left = None

    # -- tries, read without spending one

    def state(self) -> PinState:
        """The PIN's."""
        told = self._metadata(Reference.PIN)
        self.seen = assumed_state(self._left()) if told is None else told.pin_state()
        return self.seen

    def admin_state(self) -> PinState:
        """The PUK's. Where the card does not tell, all tries are taken to be left."""
        told = self._metadata(Reference.PUK)
        if told is not None:
            return told.pin_state()
        if self._puk_left is not None:
            return assumed_state(self._puk_left)
        return PinState(TRIES_ASSUMED, TRIES_ASSUMED, default=False, told=False)

    def spendable(self, reserve: TryReserve) -> PinState:
        """The PIN's state, if a try may be spent."""
        return spendable(self.state(), reserve)

    def _left(self) -> int:
        """By VERIFY without a body. After another program's VERIFY it says 9000 instead."""
        for _ in range(2):
            _, sw = self._commands.exchange(0, Ins.VERIFY, 0, Reference.PIN)
            if sw == SW.PIN_BLOCKED:
                return 0
            if sw & 0xFFF0 == SW.PIN_WRONG:
                return sw & 0xF
            if sw != SW.OK or not logged_out(self._commands):
                raise CardError(Ins.VERIFY, sw)
        raise ResponseError("The card does not tell the tries of its PIN")

    # -- spending one

    def verify(self, state: PinState, pin: Secret) -> PinState:
        """Its new state; `state` is the one before."""
        self._check(self._sent(Ins.VERIFY, Reference.PIN, pin), Ins.VERIFY, state)
        self.seen = replace(state, left=state.maximum)
        return self.seen

    def change(self, state: PinState, old: Secret, new: Secret) -> None:
        ins = Ins.CHANGE_REFERENCE_DATA
        self._check(self._sent(ins, Reference.PIN, old, new), ins, state)
        self.seen = replace(state, left=state.maximum, default=False)

    def unblock(self, admin: Secret, new: Secret) -> None:
        """Errors about a PIN are about the PUK."""
        state = spendable(self.admin_state(), TryReserve.LAST)
        ins = Ins.RESET_RETRY_COUNTER
        sw = self._sent(ins, Reference.PIN, admin, new)
        if sw == SW.OK:
            self._puk_left = None
            self.state()
            return
        if sw == SW.PIN_BLOCKED:
            self._puk_left = 0
            raise PinLocked(maximum=state.maximum)
        if sw & 0xFFF0 == SW.PIN_WRONG:
            self._puk_left = sw & 0xF
            raise PinWrong(left=self._puk_left, maximum=state.maximum)
        raise _refusal(ins, sw)

    def _check(self, sw: int, ins: Ins, before: PinState) -> None:
        """The one place that decides what the status word of the PIN's commands means."""
        if sw == SW.OK:
            return
        if sw == SW.PIN_BLOCKED:
            self.seen = replace(before, left=0)
            raise PinLocked(maximum=before.maximum)
        told = sw & 0xF if sw & 0xFFF0 == SW.PIN_WRONG else None
        if told is None and sw != SW.NOT_VERIFIED:
            raise _refusal(ins, sw)
        left = before.left - 1
        if told != left:
            left = min(left, self.state().left)
        self.seen = replace(before, left=left)
        raise PinWrong(left=left, maximum=before.maximum)

    def _sent(self, ins: Ins, reference: Reference, *pins: Secret) -> int:
        """The status word that the command with these PINs, each filled up, is answered with. Until
        it has one, nobody knows what became of a try."""
        self.seen = None
        body = bytearray(PIN_BYTES * len(pins))
        try:
            for number, pin in enumerate(pins):
                field = padded(pin)
                body[number * PIN_BYTES : (number + 1) * PIN_BYTES] = field
                wipe(field)
            return self._commands.exchange(0, ins, 0, reference, body)[1]
        finally:
            wipe(body)


def check(pin: Secret) -> None:
    """Raise :class:`PinRefused` for what cannot be a PIN."""
    if not PIN_RULE.fits(pin):
        raise PinRefused(minimum=PIN_RULE.minimum, maximum=PIN_RULE.maximum)


def padded(pin: Secret) -> bytearray:
    """Eight bytes, filled up with FF (2.4.3). The caller wipes it."""
    out = bytearray(b"\xff" * PIN_BYTES)
    with pin.view() as view:
        out[: len(view)] = view
    return out


def logged_out(commands: Commands) -> bool:
    """Have the card forget the PIN, by VERIFY (3.2.1, P1 FF). False where it knows no such
    command, as cards before SP 800-73-4 do not."""
    _, sw = commands.exchange(0, Ins.VERIFY, P1_LOG_OUT, Reference.PIN)
    if sw != SW.OK and sw not in _NO_LOG_OUT:
        raise CardError(Ins.VERIFY, sw)
    return sw == SW.OK


def _refusal(ins: Ins, sw: int) -> PinRefused | CardError:
    if sw in _NO_PIN:
        return PinRefused(minimum=PIN_RULE.minimum, maximum=PIN_RULE.maximum)
    return CardError(ins, sw)
