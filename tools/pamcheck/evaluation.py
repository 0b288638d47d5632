# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A stack run by libpam with everything that its modules can return."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import product
from math import prod

from ..language import _
from .behaviour import Behaviour, Code, answered
from .controls import alike, named
from .known import LOCALS
from .libpam import Ran, Row
from .lines import Line
from .modules import asks, asks_for_ukey, behaviour, is_password, is_ukey
from .people import as_told, people
from .places import Places
from .runs import Asked, Runs
from .stack import Module, Stack
from .table import Cell, Flips, Key, Table, Verdict
from .world import (
    ASKED,
    BEYOND_PASSWORD,
    BEYOND_UKEY,
    HERE,
    PASSWORD,
    PASSWORD_CODES,
    PERSON,
    PLACE,
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

#: How many combinations are looked at to see whether a value makes a difference.
_BESIDE_MAX = 1024
#: For at most so many lines that ask for the same factor all combinations of answers are tried.
_ASKED_MAX = 4
#: The kinds of variables whose value is not known of anybody ordinary.
_UNSURE = (Role.PLACE, Role.OTHER)


def evaluate(stack: Stack, places: Places | None, place: Variable | None = None) -> Table:
    """The table of `stack`. `places`: the host whose modules it runs; None: only their names are
    known. `place`: where people can be, if the keyservice refuses some of them for that.

    Raises :class:`tools.pamcheck.libpam.LibpamFailed`.
    """
    return _Evaluation(stack, places, place).table()


class _Evaluation:
    def __init__(self, stack: Stack, places: Places | None, place: Variable | None) -> None:
        self._stack, self._places, self._place = stack, places, place
        self._modules = stack.modules()
        self._behaviours: dict[int, Behaviour] = {
            module.index: behaviour(module.line, stack.service, places) for module in self._modules
        }
        self._all_answers = True
        asked = [each for each in self._modules if asks_for_ukey(each.line)]
        self._answers(asked, UKEY, (*UKEY_CODES[Ukey.WRONG], *UKEY_CODES[Ukey.ABSENT]))
        asked = [each for each in self._modules if each.line.name in LOCALS and asks(each.line)]
        self._answers(asked, PASSWORD, PASSWORD_CODES)
        self._size = stack.size
        self._runs = Runs(stack)

    def _answers(self, asked: Sequence[Module], factor: str, codes: Sequence[str]) -> None:
        """Where several lines each ask, each may get another answer."""
        if len(asked) > _ASKED_MAX:
            self._all_answers = False
            return
        for module in asked if len(asked) > 1 else ():
            made = self._behaviours[module.index]
            self._behaviours[module.index] = answered(module, made, factor, codes)

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        """The variables that make a difference to some line."""
        return (*self._given, *filter(None, map(self._pruned, self._found)))

    @cached_property
    def _given(self) -> tuple[Variable, ...]:
        """The variables that are not some module's own."""
        found = [*people(module.line for module in self._modules)]
        if self._place is not None and any(is_ukey(module.line) for module in self._modules):
            found.append(self._place)
        if self._runs.may_be_asked:
            texts = (
                _("where no module that is not known here asks for the password"),
                _("where a module that is not known here asks for the password"),
            )
            found.append(Variable(ASKED, ("no", "yes"), Role.OTHER, texts))
        return tuple(found)

    @cached_property
    def _found(self) -> tuple[Variable, ...]:
        """The modules' own; of several lines that share one, all values."""
        found: dict[str, Variable] = {}
        for made in self._behaviours.values():
            for variable in made.variables:
                known = found.setdefault(variable.key, variable)
                texts = dict(zip(variable.values, variable.texts, strict=True))
                texts |= dict(zip(known.values, known.texts, strict=True))
                values = tuple(dict.fromkeys((*known.values, *variable.values)))
                made_of = tuple(texts[value] for value in values)
                found[variable.key] = Variable(variable.key, values, variable.role, made_of)
        return tuple(found.values())

    def _pruned(self, variable: Variable) -> Variable | None:
        """`variable` without values that no line's control tells from those before, in any
        world."""
        using = [
            module
            for module in self._modules
            if any(each.key == variable.key for each in self._behaviours[module.index].variables)
        ]
        kept: dict[object, str] = {}
        for value in variable.values:
            kept.setdefault(tuple(self._told(each, variable.key, value) for each in using), value)
        values = tuple(kept.values())
        if len(values) == 1:
            return None
        return Variable(variable.key, values, variable.role, tuple(map(variable.text, values)))

    def _told(self, module: Module, key: str, value: str) -> object:
        """What a line returns for a value, with each combination of the others that matter to
        it."""
        made = self._behaviours[module.index]
        beside = [each for each in made.variables if each.key != key]
        beside += [each for each in self._given if each.key == PERSON]
        if prod(len(each.values) for each in beside) > _BESIDE_MAX:
            return value
        told = []
        for values in product(*(each.values for each in beside)):
            world = {PASSWORD: "success", UKEY: "success", **self._ordinary, key: value}
            world |= zip((each.key for each in beside), values, strict=True)
            told.append(self._runs.representative(module, made.code(world)))
        return tuple(told)

    def _row(self, world: World, *, exact: bool = False) -> Row:
        row: list[Code] = ["success"] * self._size
        for module in self._modules:
            code = self._behaviours[module.index].code(world)
            row[module.index] = code if exact else self._runs.representative(module, code)
        return tuple(row)

    def table(self) -> Table:
        # There may be many worlds, and few rows.
        same: dict[Asked, Asked] = {}
        tried: list[tuple[Key, Flips, Asked]] = []
        for key, flips, world in self._worlds():
            row = self._row(world), world.get(ASKED) == "yes"
            tried.append((key, flips, same.setdefault(row, row)))
        plain = {key: (self._row(world, exact=True), False) for key, world in self._plain()}
        ordinary = dict(self._plain())[Password.RIGHT, Ukey.VERIFIED]
        here = self._row({**ordinary, PLACE: HERE}, exact=True), False
        self._runs.settle([*same, *plain.values(), here])
        inside: dict[Key, dict[Flips, Ran]] = {
            (password, ukey): {} for password in Password for ukey in Ukey
        }
        outside: set[tuple[Key, Flips]] = set()
        for key, flips, row in tried:
            ran = self._runs.of(row)
            if ran.success:
                inside[key].setdefault(flips, ran)
            else:
                outside.add((key, flips))
        by_key = self._by_key
        callers = {key for key, each in by_key.items() if each.role is Role.CALLER}
        passing = inside[Password.WRONG, Ukey.WRONG]
        complete = self._all_answers and all_are_tried(self._variables)
        both = inside[Password.RIGHT, Ukey.VERIFIED]
        gates = {key for key, each in by_key.items() if each.role is Role.GATE}
        by_ukey = any(not _any(flips, gates) for flips in both)
        cells = {
            key: _cell(
                {flips: ran for flips, ran in found.items() if not _any(flips, callers)},
                self._provided(flips for each, flips in outside if each == key),
                complete=complete,
            )
            for key, found in inside.items()
        }
        return Table(
            stack=self._stack,
            cells=cells,
            plain={key: self._runs.of(row) for key, row in plain.items()},
            verified=self._runs.settled(plain[Password.RIGHT, Ukey.VERIFIED]),
            variables=by_key,
            root_passes=any(_any(flips, callers) and len(flips) == 1 for flips in passing),
            refusing=self._refusing(both, outside, cells[Password.RIGHT, Ukey.VERIFIED].provided),
            runs=self._runs,
            complete=complete,
            admitted=self._admitted(both),
            places=self._places,
            place=self._place,
            only_place=not by_ukey and self._runs.of(here).success,
            asked_first=self._runs.asked_first(),
        )

    def _provided(self, outside: Iterable[Flips]) -> Flips:
        """Facts that are not known of anybody ordinary, and that keep them out if they are
        otherwise."""
        by_key = self._by_key
        unsure = {key for key, variable in by_key.items() if variable.role in _UNSURE}
        least: list[Flips] = []
        for flips in sorted(
            (each for each in outside if not _any(each, by_key.keys() - unsure)), key=len
        ):
            if flips and not any(less < flips for less in least):
                least.append(flips)
        keys = {key for flips in least for key, _value in flips}
        if not all_are_tried(self._variables):
            keys = unsure
        keys -= self._beyond.keys()
        return frozenset((key, by_key[key].values[0]) for key in keys)

    def _admitted(self, inside: Mapping[Flips, Ran]) -> frozenset[str]:
        """The kinds of people whose ordinary login gets in."""
        people = next((each.values for each in self._variables if each.key == PERSON), (REGULAR,))
        alone = {value: frozenset({(PERSON, value)}) for value in people[1:]}
        alone[people[0]] = frozenset()
        return frozenset(value for value, flips in alone.items() if flips in inside)

    def _worlds(self) -> Iterator[tuple[Key, Flips, World]]:
        ukeys_ = self._ukeys
        for setting in settings(self._variables):
            flips = frozenset(
                (variable.key, setting[variable.key])
                for variable in self._variables
                if setting[variable.key] != variable.values[0]
            )
            for (password, word), (ukey, said) in product(self._passwords, ukeys_):
                world = {**setting, PASSWORD: word, UKEY: said}
                odd = {(BEYOND_PASSWORD, word)} if word in self._beyond[BEYOND_PASSWORD] else set()
                odd |= {(BEYOND_UKEY, said)} if said in self._beyond[BEYOND_UKEY] else set()
                yield (password, ukey), flips | odd, self._whole(world)

    @cached_property
    def _beyond(self) -> Mapping[str, tuple[str, ...]]:
        """Codes of the two factors' modules that only controls speak of."""
        lines = [module.line for module in self._modules]
        words = _named_by(line for line in lines if is_password(line))
        said = _named_by(line for line in lines if is_ukey(line))
        known = {code for codes in UKEY_CODES.values() for code in codes}
        return {
            BEYOND_PASSWORD: tuple(code for code in words if code not in PASSWORD_CODES),
            BEYOND_UKEY: tuple(code for code in said if code not in (*known, "ignore")),
        }

    @cached_property
    def _by_key(self) -> dict[str, Variable]:
        """All the variables that flips name."""
        found = {variable.key: variable for variable in self._variables}
        module = {
            BEYOND_PASSWORD: _("where the password's module returns {code}"),
            BEYOND_UKEY: _("where {module} returns {code}"),
        }
        for key, codes in self._beyond.items():
            texts = tuple(module[key].format(module="pam_ukey.so", code=code) for code in codes)
            if codes:
                found[key] = Variable(key, codes, Role.OTHER, texts)
        return found

    @cached_property
    def _passwords(self) -> tuple[tuple[Password, str], ...]:
        """Without codes that no line's control tells from those before."""
        lines = [module.line for module in self._modules if is_password(module.line)]
        kept: dict[object, tuple[Password, str]] = {}
        for password, code in passwords(self._beyond[BEYOND_PASSWORD]):
            told = [alike(line.control, as_told(line, code)) for line in lines]
            kept.setdefault((password, tuple(told)), (password, code))
        return tuple(kept.values())

    @cached_property
    def _ukeys(self) -> tuple[tuple[Ukey, str], ...]:
        """The same of the ukey's."""
        modules = [module for module in self._modules if is_ukey(module.line)]
        kept: dict[object, tuple[Ukey, str]] = {}
        for ukey, code in ukeys(self._beyond[BEYOND_UKEY]):
            told = []
            for module in modules:
                said = self._behaviours[module.index].code({**self._ordinary, UKEY: code})
                told.append((said is None, alike(module.line.control, said)))
            kept.setdefault((ukey, tuple(told)), (ukey, code))
        return tuple(kept.values())

    def _whole(self, world: dict[str, str]) -> World:
        """With the variables that make no difference, too."""
        return {**self._ordinary, **world}

    @cached_property
    def _ordinary(self) -> dict[str, str]:
        return {variable.key: variable.values[0] for variable in self._found}

    def _plain(self) -> Iterator[tuple[Key, World]]:
        setting = next(iter(settings(self._variables)))
        for password, code in ((Password.RIGHT, "success"), (Password.WRONG, "auth_err")):
            for ukey, codes in UKEY_CODES.items():
                world = {**setting, PASSWORD: code, UKEY: codes[0]}
                yield (password, ukey), self._whole(world)

    def _refusing(
        self, inside: Mapping[Flips, Ran], outside: set[tuple[Key, Flips]], provided: Flips
    ) -> tuple[tuple[str, str], ...]:
        if frozenset() not in inside:
            return ()
        both = (Password.RIGHT, Ukey.VERIFIED)
        found = [flips for key, flips in outside if key == both and len(flips) == 1]
        found = [flips for flips in found if not _any(flips, {key for key, _value in provided})]
        return tuple(sorted(flip for flips in found for flip in flips))


def _any(flips: Flips, keys: Set[str]) -> bool:
    return any(key in keys for key, _value in flips)


def _named_by(lines: Iterable[Line]) -> list[str]:
    """The codes that the controls of `lines` name, except success."""
    codes = (code for line in lines for code in named(line.control) if code != "success")
    return list(dict.fromkeys(codes))


def _cell(found: Mapping[Flips, Ran], provided: Flips, *, complete: bool) -> Cell:
    """The smallest set of values that have to be out of the ordinary."""
    if frozenset() in found:
        verdict = Verdict.DEPENDS if provided else Verdict.IN
        return Cell(verdict, {frozenset(): found[frozenset()]}, provided)
    least: dict[Flips, Ran] = {}
    for flips, ran in sorted(found.items(), key=lambda each: len(each[0])):
        if not any(less < flips for less in least):
            least[flips] = ran
    if least:
        return Cell(Verdict.DEPENDS, least)
    return Cell(Verdict.OUT if complete else Verdict.NOT_KNOWN)
