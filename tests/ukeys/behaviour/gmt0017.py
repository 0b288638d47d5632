# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A GM/T 0017 ukey for the suite."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from keyservice.ukeys.base import Evidence, KeyRef
from keyservice.ukeys.gmt0017 import GMT0017 as KIND
from tests.softkey import sm2
from tests.softkey.state import Container, Pin, State, StateFile, new
from tests.softkey.steered import Steered

from .example import Example
from .steered import SteeredDevice

PIN, ADMIN = b"528491", b"80352917"


class _Memory(StateFile):
    """The memory of a ukey from the factory, without a file: that one lasts is not the suite's."""

    def __init__(self, serial: str) -> None:
        super().__init__(serial)

    def load(self) -> State:
        made = _factory()
        key = made.applications[0].containers[0].key
        copied = deepcopy(made, {id(key): key})  # a key is never changed
        copied.serial = self.path.name
        return copied

    def write(self, state: State) -> None: ...

    def write_tries(self, state: State) -> None: ...


@cache
def _factory() -> State:
    return new(pin=PIN, admin_pin=ADMIN, empty_containers=("spare",))


class Gmt0017Device(SteeredDevice[Steered]):
    """See :class:`tests.ukeys.behaviour.example.Device`."""

    def __init__(self, serial: str) -> None:
        super().__init__(Steered(_Memory(serial)))

    @property
    def authorised(self) -> bool:
        return any(session.roles for session in self._steered.card.open.values())

    def tries(self, *, admin: bool = False) -> int:
        return self._pin(admin).left

    def set_tries(self, left: int, *, admin: bool = False) -> None:
        self._pin(admin).left = left

    def key(self, ref: KeyRef) -> bytes | None:
        found = [each for each in self._containers if each.name == ref.container]
        return found[0].key.point if found and found[0].key else None

    def verifies(self, ref: KeyRef, data: bytes, signature: bytes) -> bool:
        point = self.key(ref)
        return point is not None and sm2.verify(point, data, signature)

    def vouches(self, ref: KeyRef, evidence: Evidence) -> bool:
        raise NotImplementedError("no ukey of this kind vouches for anything")

    def _pin(self, admin: bool) -> Pin:
        application = self._steered.card.state.applications[0]
        return application.admin if admin else application.user

    @property
    def _containers(self) -> list[Container]:
        return self._steered.card.state.applications[0].containers


GMT0017 = Example(
    kind=KIND,
    make=Gmt0017Device,
    maximum=10,
    ref=KeyRef("ukey", "login"),
    absent=(KeyRef("none", "login"), KeyRef("ukey", "none")),
    algorithm="sm2",
    data=bytes(range(32)),
    unfit=(b"", bytes(31), bytes(33), bytes(64)),
    pin=PIN,
    wrong=b"111111",
    next_pin=b"90210467",
    admin=ADMIN,
    wrong_admin=b"00000000",
    empty=KeyRef("ukey", "spare"),
    new=KeyRef("ukey", "fresh"),
)
