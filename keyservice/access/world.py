# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the rules stand on: the records, the ukeys, the engine, the clock. Made in ``__main__``."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from keyservice.contract.names import Operation
from keyservice.core.secret import Secret
from keyservice.core.username import Person, resolve, resolve_uid
from keyservice.crypto.sm2 import Engine
from keyservice.store.bindings import Bindings
from keyservice.store.revocations import Revocations
from keyservice.ukeys.base import Container, Keep, KeyRef, PinState, PublicKey, UkeyInfo
from keyservice.ukeys.slot import ReaderEvent

from .audit import Audit
from .conversation import Request
from .locality import Logind
from .messages import Texts
from .settings import Rules
from .throttle import Throttle
from .turns import Turns

_log = logging.getLogger(__name__)
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


class Presence(Protocol):
    """A reader and what is in it."""

    @property
    def reader(self) -> str: ...
    @property
    def card_present(self) -> bool: ...
    @property
    def info(self) -> UkeyInfo | None: ...
    @property
    def pin(self) -> PinState | None: ...
    @property
    def refused(self) -> bool: ...
    @property
    def virtual(self) -> bool: ...


class UkeyHandle(Protocol):
    """A present ukey. Each `deadline` is absolute, in seconds of the monotonic clock."""

    @property
    def info(self) -> UkeyInfo: ...
    async def applications(self, deadline: float) -> Sequence[str]: ...
    async def containers(self, deadline: float) -> Sequence[Container]: ...
    async def public_key(self, ref: KeyRef, deadline: float) -> PublicKey: ...
    async def pin_state(self, ref: KeyRef, deadline: float, *, admin: bool = False) -> PinState: ...
    async def verify_pin(
        self, ref: KeyRef, pin: Secret, keep: Keep, deadline: float
    ) -> PinState: ...
    async def sign(
        self, ref: KeyRef, pin: Secret, digest: bytes, keep: Keep, deadline: float
    ) -> bytes: ...
    async def change_pin(
        self, ref: KeyRef, old: Secret, new: Secret, keep: Keep, deadline: float
    ) -> None: ...
    async def unblock_pin(
        self, ref: KeyRef, admin: Secret, new: Secret, deadline: float
    ) -> None: ...
    async def generate(
        self, ref: KeyRef, pin: Secret, keep: Keep, deadline: float
    ) -> PublicKey: ...
    def known_pin(self, ref: KeyRef) -> PinState | None: ...


class Ukeys(Protocol):
    """All ukeys of the host: ``keyservice.ukeys.pool``, or a script in a test of the rules."""

    def present(self) -> Sequence[Presence]: ...
    def subscribe(self, callback: Callable[[ReaderEvent], None]) -> Callable[[], None]: ...
    async def settled(self, deadline: float) -> None: ...
    def find(self, serial: str) -> UkeyHandle: ...


@dataclass(slots=True)
class World:
    """Everything that an operation may use, beside its conversation."""

    rules: Rules
    bindings: Bindings
    revocations: Revocations
    throttle: Throttle
    ukeys: Ukeys
    engine: Engine
    audit: Audit
    machine_id: str
    resolve: Callable[[str], Person] = resolve
    resolve_uid: Callable[[int], Person] = resolve_uid
    logind: Logind = field(default_factory=Logind)
    turns: Turns = field(default_factory=Turns)

    def texts(self, request: Request) -> Texts:
        login = request.operation is Operation.AUTHENTICATION
        return Texts(self.rules, request, login=login)


def machine_id(path: Path = Path("/etc/machine-id")) -> str:
    """This host's id, 32 hexadecimal digits; one for this run where the host has none."""
    try:
        found = path.read_text("ascii").strip()
    except (OSError, ValueError):
        found = ""
    if _MACHINE_ID.fullmatch(found):
        return found
    _log.warning("%s holds no machine id; challenges name a passing one", path)
    return secrets.token_hex(16)
