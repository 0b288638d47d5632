# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The operations on a ukey, each with arguments that are right, and what it has to bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.ukeys import operations
from keyservice.ukeys.base import Container, KeyRef, PinState, TryReserve, UkeyInfo
from keyservice.ukeys.kind import Ability, MadeWith
from keyservice.ukeys.operations import Arguments, Operation

from .example import Example

if TYPE_CHECKING:
    from .desk import Desk


@dataclass(frozen=True)
class Task:
    """An operation as a test asks for it."""

    name: str
    operation: Operation[Any]
    given: Callable[[Example], Arguments]
    #: What it brings; what SIGN and ATTEST bring is verified instead.
    expected: Callable[[Desk], object]
    pins: int = 0  #: how many it sends: the one that a try is spent on, and a new one
    admin: bool = False  #: the admin PIN's try is spent
    lists: bool = False  #: what it brings may be empty, and be no bytes then
    refusable: bool = False  #: the ukey may say no to it, and nothing comes of it then
    more: Ability | None = None  #: what it needs beside what the operation does
    repeats: bool = True  #: it can be done again, with the same arguments
    by_pin: bool | None = None  #: with the user PIN, or not; None where that is no matter

    def arguments(self, example: Example, **changed: Any) -> Arguments:
        """The right ones, but for what is `changed`."""
        return replace(self.given(example), **changed)

    def is_for(self, example: Example) -> bool:
        """Whether the example's kind can do it, and in this way."""
        made_with_pin = example.kind.made_with is MadeWith.PIN
        if self.by_pin is not None and self.by_pin is not made_with_pin:
            return False
        return {self.operation.needs, self.more} - {None} <= example.kind.can


def _info(desk: Desk) -> UkeyInfo:
    """What only its kind knows is taken as it says it."""
    info = desk.ukey.info()
    name = desk.example.kind.name
    serial, _ = desk.example.serials
    return replace(info, kind=name, reader="Virtual PCD 00 00", serial=serial, virtual=True)


def _containers(desk: Desk) -> list[Container]:
    example = desk.example
    if example.containers:
        return list(example.containers)
    spare = [Container(example.empty, has_key=False)] if example.empty else []
    return [Container(example.ref, has_key=True), *spare]


def _key(desk: Desk, ref: KeyRef | None) -> PublicKey:
    assert ref is not None
    key = desk.device.key(ref)
    assert key is not None
    return PublicKey(desk.example.algorithm, key)


def _full(desk: Desk) -> PinState:
    return PinState(desk.example.maximum, desk.example.maximum, default=False)


def _admin_full(desk: Desk) -> PinState:
    left = desk.device.tries(admin=True)
    return PinState(left, left, default=False)


def _with_pin(example: Example, **more: Any) -> Arguments:
    return Arguments(example.ref, pin=Secret(example.pin), reserve=TryReserve.LAST, **more)


INFO = Task("info", operations.PROBE, lambda _: Arguments(), _info)
APPLICATIONS = Task(
    "applications",
    operations.APPLICATIONS,
    lambda _: Arguments(),
    lambda desk: [desk.example.ref.application],
    lists=True,
)
CONTAINERS = Task(
    "containers", operations.CONTAINERS, lambda _: Arguments(), _containers, lists=True
)
PUBLIC_KEY = Task(
    "public_key",
    operations.PUBLIC_KEY,
    lambda example: Arguments(example.ref),
    lambda desk: _key(desk, desk.example.ref),
)
PIN_STATE = Task("pin_state", operations.PIN_STATE, lambda example: Arguments(example.ref), _full)
ADMIN_PIN_STATE = Task(
    "admin_pin_state",
    operations.PIN_STATE,
    lambda example: Arguments(example.ref, admin=True),
    _admin_full,
    more=Ability.UNBLOCK_PIN,
)
VERIFY_PIN = Task("verify_pin", operations.VERIFY_PIN, _with_pin, _full, pins=1)
SIGN = Task(
    "sign",
    operations.SIGN,
    lambda example: _with_pin(example, data=example.data),
    lambda _: None,
    pins=1,
)
CHANGE_PIN = Task(
    "change_pin",
    operations.CHANGE_PIN,
    lambda example: _with_pin(example, new_pin=Secret(example.next_pin)),
    lambda _: None,
    pins=2,
    repeats=False,
)
UNBLOCK_PIN = Task(
    "unblock_pin",
    operations.UNBLOCK_PIN,
    lambda example: Arguments(
        example.ref, pin=Secret(example.admin), new_pin=Secret(example.next_pin)
    ),
    lambda _: None,
    pins=2,
    admin=True,
)
GENERATE = Task(
    "generate",
    operations.GENERATE,
    lambda example: replace(_with_pin(example), ref=example.new or example.ref),
    lambda desk: _key(desk, desk.example.new),
    pins=1,
    repeats=False,
    by_pin=True,
)
GENERATE_BY_KEY = Task(
    "generate_by_key",
    operations.GENERATE,
    lambda example: Arguments(example.new or example.ref, pin=Secret(example.made_with)),
    lambda desk: _key(desk, desk.example.new),
    repeats=False,
    by_pin=False,
)
KEY_USE = Task(
    "key_use",
    operations.KEY_USE,
    lambda example: Arguments(example.ref),
    lambda desk: desk.example.use,
)

ATTEST = Task(
    "attest",
    operations.ATTEST,
    lambda example: Arguments(example.ref),
    lambda _: None,
    refusable=True,
)

#: All of them; a test says that no operation is left out.
TASKS = (
    INFO,
    APPLICATIONS,
    CONTAINERS,
    PUBLIC_KEY,
    PIN_STATE,
    ADMIN_PIN_STATE,
    VERIFY_PIN,
    SIGN,
    CHANGE_PIN,
    UNBLOCK_PIN,
    GENERATE,
    GENERATE_BY_KEY,
    KEY_USE,
    ATTEST,
)
