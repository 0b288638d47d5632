# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The model of factors: what a person has, what a service asks for, what sshd has verified.

It is written from docs/factors.md and docs/ssh.md. The ukey that is bound is in the reader, and the
PIN is right: ``rules`` has everything else that may be so of a ukey.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from dataclasses import dataclass, fields
from enum import Enum
from itertools import product

from keyservice.contract.pam import PamCode

from .covering import combined
from .rules import Line, Outcome, Place


class Has(Enum):
    """What the person is enrolled in."""

    NOTHING = "nothing"
    UKEY = "a ukey"
    KEY = "an ssh key"
    BOTH = "a ukey and an ssh key"
    UKEY_REVOKED = "a ukey that was revoked, and an ssh key"
    KEY_REVOKED = "a ukey and two ssh keys, one of which was revoked"
    DAMAGED = "a ukey and an ssh key, and the record is damaged"


class Asked(Enum):
    """What people from afar are asked for; at this machine it is the ukey."""

    KEY = "ssh-key"
    UKEY = "ukey"
    KEY_FIRST = "ssh-key ukey"
    UKEY_FIRST = "ukey ssh-key"
    NOTHING = ""
    NO_FILE = "ssh-key (which has to be on a ukey or a security key)"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.value.partition(" (")[0].split())


class Shown(Enum):
    """What sshd has verified; each of them is in the person's authorized_keys."""

    NONE = "no key"
    OWN = "the registered key"
    REVOKED = "their other key, which was revoked if they have one"
    UNREGISTERED = "a key that is nobody's"
    ANOTHERS = "a key that is registered for somebody else"
    SECOND = "the registered key, and the line that takes it is not the first one"


#: Where the model looks: from afar, and at this machine.
PLACES = (Place.SSHD_ALLOWED, Place.CONSOLE)
LINES = (Line.HELPFUL, Line.NOUSEROK, Line.UNIFORM)
_UKEY = {Has.UKEY, Has.BOTH, Has.UKEY_REVOKED, Has.KEY_REVOKED}
_KEY = {Has.KEY, Has.BOTH, Has.UKEY_REVOKED, Has.KEY_REVOKED}


@dataclass(frozen=True)
class Case:
    """The module's line alone."""

    has: Has
    asked: Asked
    shown: Shown
    place: Place
    line: Line


def decides(case: Case) -> str | None:
    """The factor that decides: the first one of the list that the person is enrolled in."""
    names = ("ukey",) if case.place is Place.CONSOLE else case.asked.names
    theirs = {"ukey": case.has in _UKEY, "ssh-key": case.has in _KEY}
    return next((name for name in names if theirs.get(name)), None)


def _proven(case: Case, factor: str | None) -> Outcome:
    if case.has is Has.DAMAGED:
        return Outcome(PamCode.AUTHINFO_UNAVAIL)
    if case.has is Has.NOTHING:
        never = case.line is Line.NOUSEROK
        return Outcome(PamCode.IGNORE if never else PamCode.USER_UNKNOWN)
    if factor is None:  # they have something else: never "not enrolled"
        return Outcome(PamCode.PERM_DENIED)
    if factor == "ukey":
        revoked = case.has is Has.UKEY_REVOKED
        return Outcome(PamCode.AUTH_ERR) if revoked else Outcome(PamCode.SUCCESS, True)
    let_in = case.shown is Shown.OWN and case.asked is not Asked.NO_FILE
    return Outcome(PamCode.SUCCESS if let_in else PamCode.AUTH_ERR)


def expected(case: Case) -> Outcome:
    """The value that the module must return. Under ``uniform`` all failures are the same."""
    outcome = _proven(case, decides(case))
    if case.line is Line.UNIFORM and outcome.code != PamCode.SUCCESS:
        return Outcome(PamCode.AUTH_ERR, outcome.sent)
    return outcome


def cases() -> Iterator[Case]:
    for values in product(Has, Asked, Shown, PLACES, LINES):
        yield Case(*values)


def covered(case: Case) -> Set[Hashable]:
    """The combinations that a subset of the cases must also have: any three values, and each value
    beside the factor that decides and what comes of it."""
    values = {each.name: getattr(case, each.name) for each in fields(case)}
    decided = (decides(case), expected(case).code)
    return combined(values, 2) | combined({**values, "decided": decided}, 3)
