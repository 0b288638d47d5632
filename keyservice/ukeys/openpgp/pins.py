# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PW1, PW3 and the resetting code: their tries, and the commands that spend them (4.3, 7.2.2 to
7.2.4).

PW3 is the admin PIN of other ukeys. Tries are asked for by C4 before a PIN is sent, and again where
it was wrong: cards answer a wrong PIN with 6982, which says nothing of them (measured on two).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from keyservice.core.errors import PinLocked, PinRefused, PinWrong
from keyservice.core.secret import Secret, wipe
from keyservice.transport.iso7816 import SW, CardError, Commands, ResponseError
from keyservice.ukeys.base import PinState, TryReserve
from keyservice.ukeys.spending import spendable

from .data import (
    P1_BY_ADMIN,
    P1_BY_CODE,
    P1_LOG_OUT,
    TRIES_ASSUMED,
    Ins,
    PinStatus,
    Reference,
    Tag,
)
from .kdf import Kdf
from .settings import ADMIN_MINIMUM, PIN_RULE

_NO_LOG_OUT = frozenset((SW.BAD_P1P2, SW.BAD_DATA, SW.NO_FUNCTION, SW.WRONG_LENGTH, 0x6B00))
#: The card has no object F9, or does not know what it is.
_NO_KDF = frozenset((SW.NO_DATA, SW.NO_FILE, SW.BAD_P1P2, 0x6B00))
#: The card did not take it for a PIN at all, which costs no try.
_NO_PIN = frozenset((SW.WRONG_LENGTH, SW.BAD_DATA))
#: Those from the factory (4.3.1). No card tells whether it has them; the right one tells itself.
_FACTORY, _ADMIN_FACTORY = b"123456", b"12345678"


class Pins:
    """Those of one card, whose application is selected."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        #: PW1's state as the last operation saw it, None where it saw none.
        self.seen: PinState | None = None
        #: The most tries that were seen, of PW1, the resetting code and PW3.
        self._most = [TRIES_ASSUMED] * 3
        self.forget()

    def forget(self) -> None:
        self._default = False
        self.admin_default = False  #: PW3 is the one from the factory, as far as it is known

    # -- tries, read without spending one

    def state(self) -> PinState:
        """PW1's."""
        return self._state(self._status())

    def _state(self, status: PinStatus) -> PinState:
        self.seen = replace(self._counted(0, status.left), default=self._default)
        return self.seen

    def admin_state(self, *, code: bool) -> PinState:
        """PW3's, or the resetting code's, which is locked also where none is set."""
        status = self._status()
        return self._counted(1, status.code_left) if code else self._counted(2, status.admin_left)

    def _counted(self, which: int, left: int) -> PinState:
        self._most[which] = max(self._most[which], left)
        return PinState(self._most[which], left, default=False)

    def _status(self) -> PinStatus:
        return PinStatus.parse(self._commands.send(0, Ins.GET_DATA, 0, Tag.PIN_STATUS, le=0))

    # -- spending one

    def verify(self, pin: Secret, reserve: TryReserve, mode: Reference = Reference.PW1) -> PinState:
        """Prove PW1 if a try may be spent; its new state."""
        status = self._status()
        before = spendable(self._state(status), reserve)
        with self._as_sent(status, (pin, Reference.PW1)) as body:
            sw = self._sent(Ins.VERIFY, 0, mode, body)
        self._check(sw, Ins.VERIFY, before)
        self._default = _is(pin, _FACTORY)
        if before.left < before.maximum:
            return self.state()  # all of them, and how many that are
        self.seen = replace(before, left=before.maximum, default=self._default)
        return self.seen

    def change(self, old: Secret, new: Secret, reserve: TryReserve) -> None:
        """`old` is proven by itself first: of both in one, the card takes as many bytes for the old
        one as that has, and the rest for the new one."""
        before = self.verify(old, reserve, Reference.PW1_SIGN)
        ins = Ins.CHANGE_REFERENCE_DATA
        both = ((old, Reference.PW1), (new, Reference.PW1))
        with self._as_sent(self._status(), *both) as body:
            self._check(self._sent(ins, 0, Reference.PW1_SIGN, body), ins, before)
        self._default = _is(new, _FACTORY)
        self.seen = replace(before, default=self._default)

    def verify_admin(self, admin: Secret) -> None:
        """Prove PW3. Errors about a PIN are about that one."""
        status = self._status()
        before = spendable(self._counted(2, status.admin_left), TryReserve.LAST)
        with self._as_sent(status, (admin, Reference.PW3)) as body:
            sw = self._sent(Ins.VERIFY, 0, Reference.PW3, body)
        self._check_other(sw, Ins.VERIFY, before, code=False)
        self.admin_default = _is(admin, _ADMIN_FACTORY)

    def unblock(self, new: Secret) -> None:
        """PW3 is proven."""
        ins = Ins.RESET_RETRY_COUNTER
        with self._as_sent(self._status(), (new, Reference.PW1)) as body:
            sw = self._sent(ins, P1_BY_ADMIN, Reference.PW1_SIGN, body)
        if sw != SW.OK:
            raise _refusal(ins, sw)
        self._renewed(new)

    def unblock_by_code(self, code: Secret, new: Secret) -> None:
        """Errors about a PIN are about the resetting code. `new` is proven afterwards: where the
        code had another length, the card has made another PIN of both."""
        status = self._status()
        before = spendable(self._counted(1, status.code_left), TryReserve.LAST)
        ins = Ins.RESET_RETRY_COUNTER
        with self._as_sent(status, (code, None), (new, Reference.PW1)) as body:
            sw = self._sent(ins, P1_BY_CODE, Reference.PW1_SIGN, body)
        self._check_other(sw, ins, before, code=True)
        with self._as_sent(status, (new, Reference.PW1)) as body:
            if self._sent(Ins.VERIFY, 0, Reference.PW1_SIGN, body) != SW.OK:
                raise ResponseError("The card's PIN is not the new one that was typed")
        self._renewed(new)

    def _renewed(self, new: Secret) -> None:
        self._default = _is(new, _FACTORY)
        self.state()

    def log_out(self, *references: Reference) -> bool:
        """Have the card forget them, by VERIFY (7.2.2, P1 FF). False where it knows no such
        command, as cards before 3.3 do not."""
        for reference in references:
            _, sw = self._commands.exchange(0, Ins.VERIFY, P1_LOG_OUT, reference)
            if sw in _NO_LOG_OUT:
                return False
            if sw != SW.OK:
                raise CardError(Ins.VERIFY, sw)
        return True

    # -- what answers mean

    def _check(self, sw: int, ins: Ins, before: PinState) -> None:
        """The one place that decides what the status word of PW1's commands means."""
        if sw == SW.OK:
            return
        if sw == SW.PIN_BLOCKED:
            self.seen = replace(before, left=0)
            raise PinLocked(maximum=before.maximum)
        if sw & 0xFFF0 != SW.PIN_WRONG and sw != SW.NOT_VERIFIED:
            raise _refusal(ins, sw)
        left = min(before.left - 1, self._status().left)
        self.seen = replace(before, left=left)
        raise PinWrong(left=left, maximum=before.maximum)

    def _check_other(self, sw: int, ins: Ins, before: PinState, *, code: bool) -> None:
        """The same for PW3 and the resetting code."""
        if sw == SW.OK:
            return
        if sw == SW.PIN_BLOCKED:
            raise PinLocked(maximum=before.maximum)
        if sw & 0xFFF0 != SW.PIN_WRONG and sw != SW.NOT_VERIFIED:
            raise _refusal(ins, sw)
        left = min(before.left - 1, self.admin_state(code=code).left)
        raise PinWrong(left=left, maximum=before.maximum)

    # -- what is sent

    @contextmanager
    def _as_sent(
        self, status: PinStatus, *pins: tuple[Secret, Reference | None]
    ) -> Iterator[bytearray]:
        """The PINs one after the other, as the card takes them, for as long as the block runs."""
        kdf = self._kdf()
        body = bytearray(sum(len(pin) for pin, _ in pins))
        with ExitStack() as stack:
            stack.callback(lambda: wipe(body))
            at = 0
            for pin, of in pins:
                check_length(pin, of, status)
                if kdf is None:
                    with pin.view() as view:
                        body[at : at + len(view)] = view
                    at += len(pin)
            if kdf is not None:
                wipe(body)
                derived = [kdf.derived(pin, of) for pin, of in pins]
                for each in derived:
                    stack.callback(wipe, each)
                body = bytearray(b"".join(derived))
            yield body

    def _kdf(self) -> Kdf | None:
        """Asked for each time: another program may have set it, and a PIN in the wrong form costs a
        try."""
        body, sw = self._commands.exchange(0, Ins.GET_DATA, 0, Tag.KDF, le=0)
        if sw in _NO_KDF:
            return None
        if sw != SW.OK:
            raise CardError(Ins.GET_DATA, sw)
        return Kdf.parse(body)

    def _sent(self, ins: Ins, p1: int, reference: Reference, body: bytearray) -> int:
        """The status word of the answer. Until it has one, nobody knows what became of a try."""
        self.seen = None
        return self._commands.exchange(0, ins, p1, reference, body)[1]


def check_length(pin: Secret, of: Reference | None, status: PinStatus | None = None) -> None:
    """Raise :class:`PinRefused` for what cannot be that PIN; None: the resetting code. `status`
    tells how long the card takes them."""
    minimum = PIN_RULE.minimum if of is Reference.PW1 else ADMIN_MINIMUM
    maximum = PIN_RULE.maximum
    if status is not None:
        told = {
            Reference.PW1: status.maximum,
            Reference.PW3: status.admin_maximum,
            None: status.code_maximum,
        }
        maximum = min(maximum, told[of])
    if not minimum <= len(pin) <= maximum:
        raise PinRefused(minimum=minimum, maximum=maximum)


def _is(pin: Secret, factory: bytes) -> bool:
    with Secret(factory) as known:
        return pin.matches(known)


def _refusal(ins: Ins, sw: int) -> PinRefused | CardError:
    if sw in _NO_PIN:
        return PinRefused(minimum=PIN_RULE.minimum, maximum=PIN_RULE.maximum)
    return CardError(ins, sw)
