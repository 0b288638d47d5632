# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be done with a ukey: a line each. The service asks for these, and the workers obey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from keyservice.core.secret import Secret

from . import results
from .base import KeyRef, TryReserve
from .examination import Card, examine
from .kind import Ability, Ukey
from .results import Result

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an operation needs to know. The caller wipes the secrets."""

    ref: KeyRef | None = None
    pin: Secret = field(default_factory=lambda: Secret(b""))  #: the PIN that a try is spent on
    new_pin: Secret = field(default_factory=lambda: Secret(b""))
    reserve: TryReserve = TryReserve.RESERVE
    data: bytes = b""  #: the bytes to sign
    admin: bool = False  #: the administrator's PIN is meant, not the user's

    @property
    def place(self) -> KeyRef:
        """`ref`, for operations that must have one."""
        if self.ref is None:
            raise ValueError("the operation needs an application and a container")
        return self.ref

    def wipe(self) -> None:
        self.pin.wipe()
        self.new_pin.wipe()


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation; each is one transaction with the ukey."""

    number: int  #: on the wire, 1 to 63
    result: Result[T]
    run: Callable[[Ukey, Arguments], T]
    on_card: Callable[[Card], T] | None = None  #: in its place: for any card, a ukey or not
    recognises: bool = False  #: the card in the reader is asked again what it is, before
    needs: Ability | None = None  #: what a kind must be able to do for it
    touches: bool = False  #: a person may have to touch the ukey for it
    seconds: float = 0.0  #: that a slow ukey works, beside what any operation may take


def _of_no_ukey(_ukey: Ukey, _arguments: Arguments) -> Any:
    raise ValueError("the operation is for the card in the reader, a ukey or not")


PROBE = Operation(0x01, results.INFO, lambda ukey, _: ukey.info(), recognises=True)
CONTAINERS = Operation(0x02, results.CONTAINERS, lambda ukey, _: ukey.containers())
PUBLIC_KEY = Operation(0x03, results.KEY, lambda ukey, a: ukey.public_key(a.place))
PIN_STATE = Operation(
    0x04, results.PIN_STATE, lambda ukey, a: ukey.pin_state(a.place, admin=a.admin)
)
VERIFY_PIN = Operation(
    0x05, results.PIN_STATE, lambda ukey, a: ukey.verify_pin(a.place, a.pin, a.reserve)
)
SIGN = Operation(
    0x06,
    results.SIGNATURE,
    lambda ukey, a: ukey.sign(a.place, a.pin, a.data, a.reserve),
    touches=True,
)
CHANGE_PIN = Operation(
    0x07,
    results.NOTHING,
    lambda ukey, a: ukey.change_pin(a.place, a.pin, a.new_pin, a.reserve),
    needs=Ability.CHANGE_PIN,
)
UNBLOCK_PIN = Operation(
    0x08,
    results.NOTHING,
    lambda ukey, a: ukey.unblock_pin(a.place, a.pin, a.new_pin),
    needs=Ability.UNBLOCK_PIN,
)
GENERATE = Operation(
    0x09,
    results.KEY,
    lambda ukey, a: ukey.generate(a.place, a.pin, a.reserve),
    needs=Ability.GENERATE,
    seconds=60.0,  # for a pair of RSA
)
APPLICATIONS = Operation(0x0A, results.NAMES, lambda ukey, _: ukey.applications())
KEY_USE = Operation(0x0B, results.KEY_USE, lambda ukey, a: ukey.key_use(a.place))
ATTEST = Operation(
    0x0C,
    results.EVIDENCE,
    lambda ukey, a: ukey.attest(a.place),
    needs=Ability.ATTEST,
    seconds=5.0,  # for a signature of RSA
)
EXAMINE = Operation(0x10, results.EXAMINATION, _of_no_ukey, on_card=examine)

#: The operations by their numbers; a worker obeys no other.
OPERATIONS: dict[int, Operation[Any]] = {
    operation.number: operation
    for operation in (
        PROBE,
        CONTAINERS,
        PUBLIC_KEY,
        PIN_STATE,
        VERIFY_PIN,
        SIGN,
        CHANGE_PIN,
        UNBLOCK_PIN,
        GENERATE,
        APPLICATIONS,
        KEY_USE,
        EXAMINE,
        ATTEST,
    )
}
