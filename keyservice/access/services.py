# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The services that the rules use: the records, the ukeys, the clock. Made in ``__main__``."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from keyservice.contract import operations
from keyservice.contract.i18n import Language, catalogue
from keyservice.core.username import Person, resolve, resolve_uid
from keyservice.crypto.key import PublicKey
from keyservice.store import makers
from keyservice.store.makers import Makers
from keyservice.store.records import Records
from keyservice.ukeys.base import KeyRef, KeyUse, PinState, UkeyInfo
from keyservice.ukeys.kind import MadeWith, PinRule
from keyservice.ukeys.operations import Arguments
from keyservice.ukeys.operations import Operation as UkeyOperation
from keyservice.ukeys.reader import Examined, ReaderEvent

from . import ssh_stack
from .admissions import Admissions
from .audit import Audit
from .conversation import Request
from .locality import Logind
from .messages import Texts
from .prompted import Failures
from .settings import Rules
from .throttle import Throttle
from .turns import Turns

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


class ReaderStatus(Protocol):
    """A reader and its content."""

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
    @property
    def pin_rule(self) -> PinRule: ...
    @property
    def made_with(self) -> MadeWith: ...
    @property
    def makes(self) -> str: ...
    def can(self, operation: UkeyOperation[Any]) -> bool: ...
    def check_can(self, operation: UkeyOperation[Any]) -> None: ...
    def known_pin(self, ref: KeyRef) -> PinState | None: ...
    async def public_key(self, ref: KeyRef, deadline: float) -> PublicKey: ...
    async def key_use(self, ref: KeyRef, deadline: float) -> KeyUse: ...
    async def do(
        self,
        operation: UkeyOperation[T],
        arguments: Arguments,
        deadline: float,
        *,
        idle: bool = False,
    ) -> T: ...


class Ukeys(Protocol):
    """All ukeys of the host: ``keyservice.ukeys.pool``, or a script in a test of the rules."""

    def present(self) -> Sequence[ReaderStatus]: ...
    def subscribe(self, callback: Callable[[ReaderEvent], None]) -> Callable[[], None]: ...
    async def settled(self, deadline: float, *serials: str) -> None: ...
    async def examine(self, deadline: float) -> Sequence[Examined]: ...
    def check_there(self) -> None: ...
    def check_not_held(self, serial: str = "") -> None: ...
    def find(self, serial: str) -> UkeyHandle: ...
    def claiming(self, serial: str) -> Sequence[UkeyHandle]: ...


@dataclass(slots=True)
class Services:
    """Everything that an operation may use, beside its conversation."""

    rules: Rules
    records: Records
    throttle: Throttle
    ukeys: Ukeys
    admissions: Admissions
    audit: Audit
    machine_id: str
    resolve: Callable[[str], Person] = resolve
    resolve_uid: Callable[[int], Person] = resolve_uid
    logind: Logind = field(default_factory=Logind)
    turns: Turns = field(default_factory=Turns)
    makers: Callable[[], Makers] = makers.read
    failures: Failures = field(default_factory=Failures)
    pam_folders: Sequence[Path] = ssh_stack.FOLDERS

    def __post_init__(self) -> None:
        for language in Language:  # read now: nobody's session waits for the disk on their account
            catalogue(language)

    def texts(self, request: Request) -> Texts:
        login = request.operation is operations.AUTHENTICATION
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
