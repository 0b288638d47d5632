# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A kind of ukeys for the copy of the tree: one application, one container, a PIN of four digits
and more, three tries. It can do nothing that a kind may leave out, and else what each must do: the
suite of ``tests/ukeys/behaviour`` runs on it too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    PinLocked,
    PinRefused,
    PinWrong,
    TryWithheld,
    UkeyError,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport.iso7816 import SW, CardError, Commands, ResponseError
from keyservice.ukeys.base import Container, KeyRef, KeyUse, PinState, TryReserve, UkeyInfo
from keyservice.ukeys.kind import Ability, CardLink, MadeWith, PinRule, Setting, Ukey, Values
from keyservice.ukeys.settings import is_virtual
from keyservice.ukeys.text import is_serial

REF = KeyRef("toy", "login")
MAXIMUM = 3
RULE = PinRule(4, 8)
HELLO, TRIES, KEY, VERIFY, SIGN, CLEAR = 0x01, 0x02, 0x03, 0x20, 0x2A, 0x2C
SERIAL_BYTES, KEY_BYTES, DIGEST_BYTES = 8, 16, 32


class Toy:
    """See :class:`keyservice.ukeys.kind.Ukey`."""

    def __init__(self, card: CardLink, serial: str) -> None:
        self._card, self._commands, self._serial = card, Commands(card), serial
        self._generation = card.generation
        self.seen_pin: PinState | None = None

    def configure(self, values: Values) -> None: ...

    def info(self) -> UkeyInfo:
        virtual = is_virtual(self._card.reader)
        return UkeyInfo("toy", self._card.reader, self._serial, "Toy", "Nobody", virtual)

    def applications(self) -> Sequence[str]:
        with self._operation(REF):
            return [REF.application]

    def containers(self) -> Sequence[Container]:
        with self._operation(REF):
            return [Container(REF, True)]

    def public_key(self, ref: KeyRef) -> PublicKey:
        with self._operation(ref):
            return PublicKey("toy", self._ask(KEY, KEY_BYTES))

    def key_use(self, ref: KeyRef) -> KeyUse:
        with self._operation(ref):
            return KeyUse()

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        if admin:
            raise Ability.UNBLOCK_PIN.refused("toy")
        with self._operation(ref):
            return self._pin_state()

    def verify_pin(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PinState:
        with self._verified(ref, pin, reserve) as state:
            return state

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, reserve: TryReserve) -> bytes:
        if len(data) != DIGEST_BYTES:
            raise BadRequest("a digest has 32 bytes")
        with self._verified(ref, pin, reserve):
            return self._ask(SIGN, DIGEST_BYTES, data)

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, reserve: TryReserve) -> None:
        raise Ability.CHANGE_PIN.refused("toy")

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        raise Ability.UNBLOCK_PIN.refused("toy")

    def generate(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PublicKey:
        raise Ability.GENERATE.refused("toy")

    def attest(self, ref: KeyRef) -> NoReturn:
        raise Ability.ATTEST.refused("toy")

    @contextmanager
    def _operation(self, ref: KeyRef) -> Iterator[None]:
        self.seen_pin = None
        with self._card.transaction():
            if self._card.generation != self._generation:
                if _serial_of(self._commands) != self._serial:
                    raise UkeyRemoved(serial=self._serial)
                self._generation = self._card.generation
            if ref != REF:
                raise NoKeyPair
            yield

    @contextmanager
    def _verified(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> Iterator[PinState]:
        if not RULE.fits(pin):
            raise PinRefused
        with self._operation(ref):
            left = self._pin_state().left
            if left == 0:
                raise PinLocked(maximum=MAXIMUM)
            if left - 1 < reserve.tries(MAXIMUM):
                raise TryWithheld(left=left, maximum=MAXIMUM)
            self.seen_pin = None  # until it is known what became of the try
            with pin.view() as view:
                _, sw = self._commands.exchange(0, VERIFY, 0, 0, bytearray(view))
            if sw != SW.OK:
                self._commands.send(0, CLEAR, 0, 0)  # whatever it verified
                raise self._refused(sw, left - 1)
            self.seen_pin = PinState(MAXIMUM, MAXIMUM, default=False)
            yield self.seen_pin
            self._commands.send(0, CLEAR, 0, 0)

    def _refused(self, sw: int, left: int) -> UkeyError:
        if sw == SW.PIN_BLOCKED:
            return PinLocked(maximum=MAXIMUM)
        if sw & 0xFFF0 != SW.PIN_WRONG:
            return CardError(VERIFY, sw)
        self.seen_pin = PinState(MAXIMUM, left, default=False)
        return PinWrong(left=left, maximum=MAXIMUM)

    def _pin_state(self) -> PinState:
        (left,) = self._ask(TRIES, 1)
        if left > MAXIMUM:
            raise ResponseError(f"{left} tries left out of {MAXIMUM}")
        self.seen_pin = PinState(MAXIMUM, left, default=False)
        return self.seen_pin

    def _ask(self, ins: int, length: int, data: bytes = b"") -> bytes:
        body = self._commands.send(0, ins, 0, 0, data, le=0)
        if len(body) != length:
            raise ResponseError(f"{len(body)} bytes, not {length}")
        return body


def _serial_of(commands: Commands) -> str | None:
    """The toy's serial, None where the card is no toy."""
    try:
        body, sw = commands.exchange(0, HELLO, 0, 0, le=0)
    except ResponseError:
        return None
    serial = body.rstrip(b"\0").decode("latin-1")
    return serial if (sw, len(body)) == (SW.OK, SERIAL_BYTES) and is_serial(serial) else None


class ToyKind:
    """See :class:`keyservice.ukeys.kind.Kind`."""

    name = "toy"
    pin_rule = RULE
    can: frozenset[Ability] = frozenset()
    settings: tuple[Setting, ...] = (Setting("colour", ("red", "blue")),)
    made_with = MadeWith.PIN

    def makes(self, values: Values) -> str:
        return "sm2"

    def prepare(self) -> None: ...

    def pointed(self, ukey: Ukey) -> Values:
        return {}

    def recognise(self, card: CardLink) -> Ukey | None:
        with card.transaction():
            serial = _serial_of(Commands(card))
            return None if serial is None else Toy(card, serial)


TOY = ToyKind()
