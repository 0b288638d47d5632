# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The model of su in a session from afar: what has opened the session, what the person has now,
and what su asks for.

It is written from docs/factors.md ("su and sudo in a session from afar"). The ukey that is bound is
in the reader of this host, and the PIN is right.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from dataclasses import dataclass, fields
from enum import Enum
from itertools import product

from keyservice.contract.pam import PamCode

from .covering import combined
from .keys import Has
from .rules import Line, Outcome, Place


class Opened(Enum):
    """What let the person in by sshd, when all that they ever had was good."""

    NOTHING = "nothing that the keyservice knows of"
    UKEY = "the ukey"
    KEY = "the ssh key"
    OTHER_KEY = "another ssh key of theirs, which was revoked or removed since"


class Asked(Enum):
    """``factors_from_afar`` of su."""

    NO_LINE = "no such line"
    SESSION = "session"
    SESSION_FIRST = "session ukey"
    UKEY_FIRST = "ukey session"
    UKEY = "ukey"
    NOTHING = ""
    NO_FILE = "session (whose key has to be on a ukey or a security key)"

    @property
    def names(self) -> tuple[str, ...] | None:
        if self is Asked.NO_LINE:
            return None
        return tuple(self.value.partition(" (")[0].split())


LINES = (Line.HELPFUL, Line.NOUSEROK, Line.UNIFORM)
_UKEY = {Has.UKEY, Has.BOTH, Has.UKEY_REVOKED, Has.KEY_REVOKED}
_KEY = {Has.KEY, Has.BOTH, Has.UKEY_REVOKED, Has.KEY_REVOKED}


@dataclass(frozen=True)
class Case:
    """The module's line alone, in su."""

    has: Has  #: now; it may be less than when the session was opened
    opened: Opened
    asked: Asked
    line: Line

    @property
    def place(self) -> Place:
        return Place.SU_AFAR if self.opened is Opened.NOTHING else Place.SU_ADMITTED


def decides(case: Case) -> str | None:
    """The factor that decides: the first one of the list that the person is enrolled in."""
    theirs = {"ukey": case.has in _UKEY, "session": case.has in _KEY}
    if case.asked.names is None:  # the same ukey, in a session that it has opened
        return "ukey" if theirs["ukey"] and case.opened is Opened.UKEY else None
    return next((name for name in case.asked.names if theirs[name]), None)


def _session(case: Case) -> Outcome:
    """What comes of the factor ``session``, for somebody who has an ssh key."""
    if case.opened is Opened.OTHER_KEY and case.has is Has.KEY_REVOKED:
        return Outcome(PamCode.AUTH_ERR)
    if case.opened is not Opened.KEY:  # nor by one that is not registered any more
        return Outcome(PamCode.PERM_DENIED)
    return Outcome(PamCode.AUTH_ERR if case.asked is Asked.NO_FILE else PamCode.SUCCESS)


def _proven(case: Case) -> Outcome:
    if case.has is Has.DAMAGED:
        return Outcome(PamCode.AUTHINFO_UNAVAIL)
    if case.has is Has.NOTHING:
        never = case.line is Line.NOUSEROK
        return Outcome(PamCode.IGNORE if never else PamCode.USER_UNKNOWN)
    match decides(case):
        case "ukey":
            revoked = case.has is Has.UKEY_REVOKED
            return Outcome(PamCode.AUTH_ERR) if revoked else Outcome(PamCode.SUCCESS, True)
        case "session":
            return _session(case)
    return Outcome(PamCode.PERM_DENIED)  # they have something else: never "not enrolled"


def expected(case: Case) -> Outcome:
    """The value that the module must return. Under ``uniform`` all failures are the same."""
    outcome = _proven(case)
    if case.line is Line.UNIFORM and outcome.code != PamCode.SUCCESS:
        return Outcome(PamCode.AUTH_ERR, outcome.sent)
    return outcome


def cases() -> Iterator[Case]:
    for values in product(Has, Opened, Asked, LINES):
        yield Case(*values)


def covered(case: Case) -> Set[Hashable]:
    """The combinations that a subset of the cases must also have: what the person has, what has
    opened the session and what is asked for decide together, so all of these."""
    values = {each.name: getattr(case, each.name) for each in fields(case)}
    return combined(values, 2) | combined({**values, "outcome": expected(case)}, 3)
