# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One run's figures as they are stored: raw samples, so that any table can be made again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """Milliseconds of each login of one kind, in the order of the rounds."""

    key: str
    title: str
    samples: list[float]


@dataclass(frozen=True, slots=True)
class Session:
    """Milliseconds of each session, from Begin to verdict, what the card took of it, and beside
    each the least that it can cost."""

    total: list[float]
    card: list[float]
    floor: list[float]


@dataclass(frozen=True, slots=True)
class Verification:
    """Microseconds per SM2 verification, one value for each turn."""

    engine: str
    ours: list[float]
    openssl: list[float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one run of ``scripts/bench`` measured."""

    date: str
    machine: dict[str, str]  #: what the figures depend on: CPUs, kernel, versions
    logins: list[Login]
    session: Session
    memory: dict[str, float]  #: MiB, by process, and of all
    sm2: Verification

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def samples(self, key: str) -> list[float]:
        """The samples of the login `key`."""
        return next(login.samples for login in self.logins if login.key == key)
