# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A kind of ukeys for the copy of the tree: one application, one container, a PIN of four digits
and more, three tries."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.core.errors import PinLocked, PinWrong, TryWithheld
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport.iso7816 import SW, Commands
from keyservice.ukeys.base import Container, KeyRef, PinState, TryReserve, UkeyInfo
from keyservice.ukeys.kind import Ability, CardLink, PinRule, Setting, Ukey, Values

REF = KeyRef("toy", "login")
MAXIMUM = 3
HELLO, TRIES, KEY, VERIFY, SIGN = 0x01, 0x02, 0x03, 0x20, 0x2A


class Toy:
    """See :class:`keyservice.ukeys.kind.Ukey`."""

    def __init__(self, card: CardLink, serial: str) -> None:
        self._card, self._commands, self._serial = card, Commands(card), serial
        self.seen_pin: PinState | None = None

    def configure(self, values: Values) -> None: ...

    def info(self) -> UkeyInfo:
        return UkeyInfo("toy", self._card.reader, self._serial, "Toy", "Nobody", virtual=True)

    def applications(self) -> Sequence[str]:
        return [REF.application]

    def containers(self) -> Sequence[Container]:
        return [Container(REF, True)]

    def public_key(self, ref: KeyRef) -> PublicKey:
        with self._card.transaction():
            return PublicKey("toy", self._commands.send(0, KEY, 0, 0, le=0))

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        with self._card.transaction():
            (left,) = self._commands.send(0, TRIES, 0, 0, le=0)
        self.seen_pin = PinState(MAXIMUM, left, default=False)
        return self.seen_pin

    def verify_pin(self, ref: KeyRef, pin: Secret, keep: TryReserve) -> PinState:
        left = self.pin_state(ref).left
        if left == 0:
            raise PinLocked(maximum=MAXIMUM)
        if left - 1 < keep.tries(MAXIMUM):
            raise TryWithheld(left=left, maximum=MAXIMUM)
        with self._card.transaction(), pin.view() as view:
            _, sw = self._commands.exchange(0, VERIFY, 0, 0, bytearray(view))
        if sw != SW.OK:
            raise PinWrong(left=sw & 0xF, maximum=MAXIMUM)
        self.seen_pin = PinState(MAXIMUM, MAXIMUM, default=False)
        return self.seen_pin

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, keep: TryReserve) -> bytes:
        self.verify_pin(ref, pin, keep)
        with self._card.transaction():
            return self._commands.send(0, SIGN, 0, 0, data, le=0)

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, keep: TryReserve) -> None:
        raise Ability.CHANGE_PIN.refused("toy")

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        raise Ability.UNBLOCK_PIN.refused("toy")

    def generate(self, ref: KeyRef, pin: Secret, keep: TryReserve) -> PublicKey:
        raise Ability.GENERATE.refused("toy")


class ToyKind:
    """See :class:`keyservice.ukeys.kind.Kind`."""

    name = "toy"
    pin_rule = PinRule(4, 8)
    can: frozenset[Ability] = frozenset()
    settings: tuple[Setting, ...] = (Setting("colour", ("red", "blue")),)

    def prepare(self) -> None: ...

    def recognise(self, card: CardLink) -> Ukey | None:
        with card.transaction():
            body, sw = Commands(card).exchange(0, HELLO, 0, 0, le=0)
        return Toy(card, body.decode()) if sw == SW.OK else None


TOY = ToyKind()
