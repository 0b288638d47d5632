# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who gets in: a stack run by libpam with everything that its modules can return."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from . import copy, libpam
from .behaviour import Behaviour, Code
from .controls import CODES, action
from .libpam import Ran, Row
from .modules import as_told, behaviour, is_password, people, setcred
from .places import Places
from .stack import Module, Stack
from .world import (
    PASSWORD,
    PERSON,
    REGULAR,
    UKEY,
    UKEY_CODES,
    Password,
    Role,
    Ukey,
    Variable,
    World,
    all_are_tried,
    passwords,
    settings,
    ukeys,
)

#: For all rows of a stack; a few seconds is a lot.
_SECONDS = 60.0
#: How many rows are tried to reach a line that no login has reached.
_TRIES = 400

_ROLES = (Role.PERSON, Role.MEMBER, Role.CALLER, Role.GATE, Role.LOCK, Role.OTHER)

#: What differs from the ordinary case: variables and their values.
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


@dataclass(frozen=True)
class Cell:
    verdict: Verdict
    #: On what it depends: each makes an "in" of it. The run shows how.
    ways: Mapping[Flips, Ran] = field(default_factory=dict)


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
    never: tuple[Module, ...]  #: lines that nothing has reached
    last: dict[int, int]  #: of those, the line that most often ended the stack before
    complete: bool  #: every combination of variables was tried
    #: Whoever has both and gets in, with nothing else out of the ordinary, by the values of PERSON.
    admitted: frozenset[str]
    places: Places | None  #: where its modules were looked for

    @property
    def lets_in(self) -> bool:
        return any(cell.verdict is not Verdict.OUT for cell in self.cells.values())

    @property
    def who(self) -> Who:
        """In the ordinary case."""
        inside = {key for key, cell in self.cells.items() if cell.verdict is Verdict.IN}
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
        """What `flips` mean, in words: who it is, then what has to be the case."""
        chosen = [(self.variables[key], value) for key, value in flips]
        chosen.sort(key=lambda each: (_ROLES.index(each[0].role), each[0].key))
        return [variable.text(value) for variable, value in chosen]

    def has(self, flips: Flips, role: Role) -> bool:
        return any(self.variables[key].role is role for key, _value in flips)


def evaluate(stack: Stack, places: Places | None) -> Table:
    """The table of `stack`. `places`: the host whose modules it runs; None: names have to tell.

    Raises :class:`tools.pamcheck.libpam.LibpamFailed`.
    """
    return _Evaluation(stack, places).table()


class _Evaluation:
    def __init__(self, stack: Stack, places: Places | None) -> None:
        self._stack, self._places = stack, places
        self._modules = stack.modules()
        self._behaviours: dict[int, Behaviour] = {
            module.index: behaviour(module.line, stack.service, places) for module in self._modules
        }
        creds = {module.index: setcred(module.line) for module in self._modules}
        self._size = stack.size
        self._copy = copy.of(stack, creds)
        self._same: dict[tuple[int, object], Code] = {}
        self._ran: dict[Row, Ran] = {}

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        """What makes a difference to some line."""
        found: dict[str, Variable] = {}
        for made in self._behaviours.values():
            for variable in made.variables:
                found.setdefault(variable.key, variable)
        who = people(module.line for module in self._modules)
        base = {variable.key: variable.values[0] for variable in (*who, *found.values())}
        base |= {PASSWORD: "success", UKEY: "success"}
        return (*who, *filter(None, (self._pruned(each, base) for each in found.values())))

    def _pruned(self, variable: Variable, base: World) -> Variable | None:
        """Without values that no line's control tells from those before."""
        kept: dict[Row, str] = {}
        for value in variable.values:
            kept.setdefault(self._row({**base, variable.key: value}), value)
        values = tuple(kept.values())
        if len(values) == 1:
            return None
        return Variable(variable.key, values, variable.role, tuple(map(variable.text, values)))

    def _row(self, world: World, *, exact: bool = False) -> Row:
        row: list[Code] = ["success"] * self._size
        for module in self._modules:
            code = self._behaviours[module.index].code(world)
            row[module.index] = code if exact else self._representative(module, code)
        return tuple(row)

    def _representative(self, module: Module, code: Code) -> Code:
        """One code for all that the line's control treats alike; whether somebody gets in is the
        same for all of them."""
        if code is None:
            return None
        alike = action(module.line.control, code), code in ("success", "ignore") and code
        return self._same.setdefault((module.index, alike), code)

    def _run(self, rows: list[Row]) -> None:
        new = [row for row in dict.fromkeys(rows) if row not in self._ran]
        if new:
            self._ran |= zip(new, libpam.run(self._copy, new, _SECONDS), strict=True)

    def table(self) -> Table:
        worlds = list(self._worlds())
        rows = [self._row(world) for _key, _flips, world in worlds]
        plain = {key: self._row(world, exact=True) for key, world in self._plain()}
        self._run([*rows, *plain.values()])
        inside: dict[Key, dict[Flips, Ran]] = {
            (password, ukey): {} for password in Password for ukey in Ukey
        }
        outside: set[tuple[Key, Flips]] = set()
        for (key, flips, _world), row in zip(worlds, rows, strict=True):
            if self._ran[row].success:
                inside[key].setdefault(flips, self._ran[row])
            else:
                outside.add((key, flips))
        by_key = {variable.key: variable for variable in self._variables}
        callers = {key for key, each in by_key.items() if each.role is Role.CALLER}
        passing = inside[Password.WRONG, Ukey.WRONG]
        never, last = self._never()
        return Table(
            stack=self._stack,
            cells={
                key: _cell({flips: ran for flips, ran in found.items() if not _any(flips, callers)})
                for key, found in inside.items()
            },
            plain={key: self._ran[row] for key, row in plain.items()},
            verified=plain[Password.RIGHT, Ukey.VERIFIED],
            variables=by_key,
            root_passes=any(_any(flips, callers) and len(flips) == 1 for flips in passing),
            refusing=self._refusing(inside[Password.RIGHT, Ukey.VERIFIED], outside),
            never=never,
            last=last,
            complete=all_are_tried(self._variables),
            admitted=self._admitted(inside[Password.RIGHT, Ukey.VERIFIED]),
            places=self._places,
        )

    def _admitted(self, inside: Mapping[Flips, Ran]) -> frozenset[str]:
        """Everybody's ordinary login, by whose it is."""
        people = next((each.values for each in self._variables if each.key == PERSON), (REGULAR,))
        alone = {value: frozenset({(PERSON, value)}) for value in people[1:]}
        alone[people[0]] = frozenset()
        return frozenset(value for value, flips in alone.items() if flips in inside)

    def _worlds(self) -> Iterator[tuple[Key, Flips, World]]:
        for setting in settings(self._variables):
            flips = frozenset(
                (variable.key, setting[variable.key])
                for variable in self._variables
                if setting[variable.key] != variable.values[0]
            )
            for password, password_code in self._passwords:
                for ukey, ukey_code in ukeys():
                    world = {**setting, PASSWORD: password_code, UKEY: ukey_code}
                    yield (password, ukey), flips, self._whole(world)

    @cached_property
    def _passwords(self) -> tuple[tuple[Password, str], ...]:
        """Without codes that no line's control tells from those before."""
        lines = [module.line for module in self._modules if is_password(module.line)]
        kept: dict[object, tuple[Password, str]] = {}
        for password, code in passwords():
            told = (as_told(line, code) for line in lines)
            alike = tuple(
                (action(line.control, said), said == "ignore")
                for line, said in zip(lines, told, strict=True)
            )
            kept.setdefault((password, alike), (password, code))
        return tuple(kept.values())

    def _whole(self, world: dict[str, str]) -> World:
        """With the variables that make no difference, too."""
        return {**self._ordinary, **world}

    @cached_property
    def _ordinary(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for made in self._behaviours.values():
            for variable in made.variables:
                found.setdefault(variable.key, variable.values[0])
        return found

    def _plain(self) -> Iterator[tuple[Key, World]]:
        setting = next(iter(settings(self._variables)))
        for password, code in ((Password.RIGHT, "success"), (Password.WRONG, "auth_err")):
            for ukey, codes in UKEY_CODES.items():
                world = {**setting, PASSWORD: code, UKEY: codes[0]}
                yield (password, ukey), self._whole(world)

    def _refusing(
        self, inside: Mapping[Flips, Ran], outside: set[tuple[Key, Flips]]
    ) -> tuple[tuple[str, str], ...]:
        if frozenset() not in inside:
            return ()
        both = (Password.RIGHT, Ukey.VERIFIED)
        found = [flips for key, flips in outside if key == both and len(flips) == 1]
        return tuple(sorted(flip for flips in found for flip in flips))

    def _never(self) -> tuple[tuple[Module, ...], dict[int, int]]:
        """The lines that no run has come to, and where those that came closest ended."""
        seen = {index for ran in self._ran.values() for index in ran.trace}
        if all(module.index in seen for module in self._modules) or not seen:
            return (), {}
        dice = random.Random(0)
        self._run([self._thrown(dice) for _try in range(_TRIES)])
        seen = {index for ran in self._ran.values() for index in ran.trace}
        never = tuple(module for module in self._modules if module.index not in seen)
        last = {
            module.index: max(
                (ran.trace[-1] for ran in self._ran.values() if ran.trace),
                key=lambda index: (index < module.index, index),
            )
            for module in never
        }
        return never, last

    def _thrown(self, dice: random.Random) -> Row:
        """A row in which the modules return anything that they can, some rows mostly success."""
        luck = dice.choice((0.1, 0.5, 0.95))
        row: list[Code] = ["success"] * self._size
        for module in self._modules:
            made = self._behaviours[module.index]
            if module.line.name in ("pam_permit", "pam_deny"):
                row[module.index] = made.code({})
            elif dice.random() >= luck:
                row[module.index] = dice.choice(
                    (
                        "auth_err",
                        "ignore",
                        "user_unknown",
                        "authinfo_unavail",
                        dice.choice(CODES[:30]),
                    )
                )
        return tuple(row)


def _any(flips: Flips, keys: set[str]) -> bool:
    return any(key in keys for key, _value in flips)


def _cell(found: Mapping[Flips, Ran]) -> Cell:
    """The least that has to be out of the ordinary."""
    if frozenset() in found:
        return Cell(Verdict.IN, {frozenset(): found[frozenset()]})
    least = {
        flips: ran for flips, ran in found.items() if not any(other < flips for other in found)
    }
    return Cell(Verdict.DEPENDS if least else Verdict.OUT, least)
