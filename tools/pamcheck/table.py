# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who gets in by a stack: what ``evaluation`` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from .libpam import Ran, Row
from .places import Places
from .runs import Runs, Unreached
from .stack import Module, Stack
from .world import Password, Role, Ukey, Variable

_ROLES = (
    Role.PERSON,
    Role.MEMBER,
    Role.CALLER,
    Role.PLACE,
    Role.GATE,
    Role.LOCK,
    Role.OTHER,
)

#: The differences from the ordinary case: variables and their values.
Flips = frozenset[tuple[str, str]]


class Who(StrEnum):
    """Who gets in by a service, in a word. The values are an interface of ``--json``."""

    ANYBODY = "anybody"
    PASSWORD = "password alone"
    UKEY = "ukey alone"
    BOTH = "password and ukey"
    ENROLLED = "password and ukey, of the enrolled"  #: of others the password
    DEPENDS = "depends"
    NOBODY = "nobody"


class Verdict(StrEnum):
    """What a cell of the table says. The values are an interface of ``--json``."""

    IN = "in"
    OUT = "out"
    DEPENDS = "depends"
    NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Cell:
    verdict: Verdict
    #: The conditions on which it depends: each makes it "in". The run shows how.
    ways: Mapping[Flips, Ran] = field(default_factory=dict)
    #: Other conditions that have to hold, so that somebody ordinary gets in.
    provided: Flips = frozenset()

    @property
    def usual(self) -> bool:
        """Somebody ordinary gets in, if modules do as it is assumed."""
        return frozenset() in self.ways


Key = tuple[Password, Ukey]


@dataclass
class Table:
    """The whole of it."""

    stack: Stack
    cells: dict[Key, Cell]
    #: With nothing out of the ordinary, and the first of each cell's codes.
    plain: dict[Key, Ran]
    verified: Row  #: what each line returns to somebody with both, with nothing out of the ordinary
    variables: dict[str, Variable]
    root_passes: bool  #: root as the caller is asked for nothing
    refusing: tuple[tuple[str, str], ...]  #: what alone keeps out somebody who has both
    runs: Runs
    complete: bool  #: every combination of variables was tried
    #: People who have both and get in, with nothing else out of the ordinary, by the values of
    #: PERSON.
    admitted: frozenset[str]
    places: Places | None  #: where its modules were looked for
    place: Variable | None  #: where people can be
    only_place: bool  #: people who have both are out only for where they are
    #: A line that asks for a PIN before the other asks for the password.
    asked_first: tuple[Module, Module] | None

    @cached_property
    def never(self) -> Unreached:
        """Lines that nothing has reached. Raises :class:`tools.pamcheck.libpam.LibpamFailed`."""
        return self.runs.never()

    @property
    def lets_in(self) -> bool:
        return any(cell.ways for cell in self.cells.values())

    @property
    def who(self) -> Who:
        """In the ordinary case."""
        inside = {key for key, cell in self.cells.items() if cell.usual}
        failing = (Ukey.WRONG, Ukey.ABSENT, Ukey.BROKEN)
        if any((Password.WRONG, ukey) in inside for ukey in (*failing, Ukey.NOT_ENROLLED)):
            return Who.ANYBODY
        if any((Password.RIGHT, ukey) in inside for ukey in failing):
            return Who.PASSWORD
        if (Password.WRONG, Ukey.VERIFIED) in inside:
            return Who.UKEY
        if (Password.RIGHT, Ukey.VERIFIED) in inside:
            return Who.ENROLLED if (Password.RIGHT, Ukey.NOT_ENROLLED) in inside else Who.BOTH
        return Who.DEPENDS if self.lets_in else Who.NOBODY

    def text(self, flips: Flips) -> list[str]:
        """The meaning of `flips` in words: who it is, then what has to be the case."""
        chosen = [(self.variables[key], value) for key, value in flips]
        chosen.sort(key=lambda each: (_ROLES.index(each[0].role), each[0].key))
        return [variable.text(value) for variable, value in chosen]

    def has(self, flips: Flips, role: Role) -> bool:
        return any(self.variables[key].role is role for key, _value in flips)
