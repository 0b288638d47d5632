# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The model of two ukeys of one person: which one is asked for its PIN, and who gets in by it.

It is written from docs/enrol.md ("A spare ukey") and docs/decisions.md. ``rules`` has everything
else that may be so of one ukey.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from dataclasses import dataclass, fields
from enum import Enum
from itertools import product

from keyservice.contract.pam import PamCode

from .covering import combined
from .rules import BEGUN_BY_ROOT, Line, Place


class Ukey(Enum):
    """One of the two: whether it is in a reader, its tries, and what the host knows of it."""

    IN = "in a reader"
    OUT = "not there"
    LOCKED = "in a reader, locked"
    LAST_TRY = "in a reader, one try left"
    OTHER_KEY = "in a reader, with another key than the bound one"
    REVOKED = "in a reader, revoked"
    REVOKED_OUT = "not there, revoked"

    @property
    def revoked(self) -> bool:
        return self in (Ukey.REVOKED, Ukey.REVOKED_OUT)

    @property
    def out(self) -> bool:
        return self in (Ukey.OUT, Ukey.REVOKED_OUT)


class Pin(Enum):
    """Both ukeys have the same PIN: what is typed would fit either."""

    RIGHT = "the right PIN"
    WRONG = "a wrong PIN"


PLACES = (Place.CONSOLE, Place.SU, Place.SSHD_ALLOWED)
LINES = (Line.HELPFUL, Line.NOUSEROK, Line.UNIFORM)


@dataclass(frozen=True)
class Pair:
    """The module's line alone, for somebody with two ukeys."""

    first: Ukey  #: that was bound first
    second: Ukey
    pin: Pin
    place: Place
    line: Line

    @property
    def ukeys(self) -> tuple[Ukey, Ukey]:
        return self.first, self.second


@dataclass(frozen=True)
class Asked:
    """What the module returns, and which of the ukeys a PIN went to, by their numbers."""

    code: PamCode
    sent: frozenset[int] = frozenset()

    @property
    def let_in(self) -> bool:
        return self.code in (PamCode.SUCCESS, PamCode.IGNORE)


def _wrong_with(ukey: Ukey, place: Place) -> PamCode | None:
    """Why a ukey that is in a reader, and not revoked, is not asked for its PIN."""
    if ukey is Ukey.OTHER_KEY:
        return PamCode.AUTH_ERR
    if ukey is Ukey.LOCKED or (ukey is Ukey.LAST_TRY and place not in BEGUN_BY_ROOT):
        afar = place is Place.SSHD_ALLOWED  # it gets no MAXTRIES: see ``rules``
        return PamCode.AUTHINFO_UNAVAIL if afar else PamCode.MAXTRIES
    return None


def _helpful(pair: Pair) -> Asked:
    found = [number for number, ukey in enumerate(pair.ukeys) if not (ukey.out or ukey.revoked)]
    if not found:
        # one that was revoked is told of if it is in, or if there is no other one to insert
        shown = Ukey.REVOKED in pair.ukeys or all(ukey.revoked for ukey in pair.ukeys)
        return Asked(PamCode.AUTH_ERR if shown else PamCode.AUTHINFO_UNAVAIL)
    if len(found) > 1 and pair.line is Line.UNIFORM:
        return Asked(PamCode.AUTH_ERR)  # nobody can know whose PIN it is
    wrong = {number: _wrong_with(pair.ukeys[number], pair.place) for number in found}
    asked = next((number for number in found if wrong[number] is None), None)
    if asked is None:
        code = wrong[found[0]]
        assert code is not None
        return Asked(code)
    right = pair.pin is Pin.RIGHT
    return Asked(PamCode.SUCCESS if right else PamCode.AUTH_ERR, frozenset({asked}))


def expected(pair: Pair) -> Asked:
    """What must come of it. Under ``uniform`` all failures are the same."""
    outcome = _helpful(pair)
    if pair.line is Line.UNIFORM and outcome.code != PamCode.SUCCESS:
        return Asked(PamCode.AUTH_ERR, outcome.sent)
    return outcome


def pairs() -> Iterator[Pair]:
    """Every case. None is impossible: each ukey has its own state."""
    for values in product(Ukey, Ukey, Pin, PLACES, LINES):
        yield Pair(*values)


def covered(pair: Pair) -> Set[Hashable]:
    """The combinations that a subset of the cases must also have: any three values, and any two
    beside what comes of it."""
    values = {each.name: getattr(pair, each.name) for each in fields(pair)}
    return combined(values, 3) | combined({**values, "outcome": expected(pair)}, 3)
