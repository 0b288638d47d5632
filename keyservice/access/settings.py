# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The settings of logins that an administrator decides. ``keyservice.config`` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from keyservice.contract.pam import SAME_SERVICE
from keyservice.crypto.algorithms import ALGORITHMS


class SshKeys(StrEnum):
    """Where an ssh key that lets somebody in may be: ``policy.ssh_keys``."""

    SK = "sk"  #: on a FIDO authenticator
    UKEY = "ukey"  #: on a ukey that was in a reader of this host when it was added
    FILE = "file"  #: wherever the administrator who has added it says

    @classmethod
    def of(cls, kind: str) -> Self:
        """That of a credential whose ``Binding.kind`` is `kind`."""
        return cls({"ssh": cls.FILE, "sk": cls.SK}.get(kind, cls.UKEY))


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """The exceptions for one PAM service: ``[services.NAME]``."""

    #: What people at this machine are asked for, and those from afar; None: as ``asking`` has it.
    factors: tuple[str, ...] | None = None
    factors_from_afar: tuple[str, ...] | None = None
    wait_for_ukey: int | None = None  #: seconds; None for ``Rules.wait_for_ukey``


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules; the defaults are the product's."""

    deadline: int = 60  #: seconds a session may take
    language: str = "auto"  #: "auto": as the caller wishes; or a locale name for everybody
    #: shell patterns, and "@kernel": ``consoles``
    local_ttys: tuple[str, ...] = ("tty[0-9]*", "console", "ttyS*", "hvc*", "@kernel")
    wait_for_ukey: int = 15  #: seconds a login waits for the ukey to be inserted; 0: not at all
    throttle_after: int = 3  #: wrong PINs in a row before the first pause
    throttle_seconds: int = 60  #: the first pause; each further wrong PIN doubles it
    throttle_longest: int = 3600  #: seconds; no pause is longer
    pin_same: int = 3  #: times that a character may stand in a row in a new PIN
    pin_run: int = 3  #: digits or letters of a new PIN that may count up or down in a row
    attested: bool = False  #: only keys that a maker vouches for are bound, and let somebody in
    allow_virtual_readers: bool = False
    shared_pcsc: bool = False
    ukeys_per_person: int = 1  #: for logins, 1 to ``CREDENTIALS_MAX``
    algorithms: frozenset[str] = ALGORITHMS  #: of the keys that this host accepts
    ssh_keys: frozenset[SshKeys] = frozenset(SshKeys)  #: which let somebody in
    services: Mapping[str, ServiceRule] = field(default_factory=dict)

    def accepts(self, algorithm: str) -> bool:
        """Whether this host accepts keys of it; an ``sk-`` key counts as one of its curve."""
        return algorithm.removeprefix("sk-") in self.algorithms

    def service(self, name: str) -> ServiceRule:
        """The rule of the PAM service `name`, or of the service that it is another name of."""
        return self.services.get(name) or self.services.get(SAME_SERVICE.get(name, ""), _NO_RULE)

    def patience(self, service: str) -> int:
        """Seconds that a login through the PAM service waits for a ukey to be inserted."""
        own = self.service(service).wait_for_ukey
        return self.wait_for_ukey if own is None else own


_NO_RULE = ServiceRule()
