# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A stack with a line changed, as it would be after the change, to try a remedy on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from . import lines
from .lines import Line
from .stack import Group, Module, Part, Stack, counted, walk

_NUMBER = re.compile(r"(=\s*)([0-9]+)")


def changed(stack: Stack, changes: Sequence[tuple[Line, Sequence[str]]]) -> Stack:
    """`stack` with other lines in place of each that is named, wherever its file is included."""
    numbers = count(stack.size)
    by_place = {line.place: (line, texts) for line, texts in changes}

    def parts(old: tuple[Part, ...]) -> Iterator[Part]:
        for part in old:
            if isinstance(part, Group):
                yield replace(part, parts=tuple(parts(part.parts)))
            elif part.line.place in by_place:
                line, texts = by_place[part.line.place]
                for text in texts:
                    yield Module(next(numbers), lines.parse(line.file, line.number, text))
            else:
                yield part

    return replace(stack, parts=tuple(parts(stack.parts)), other=tuple(parts(stack.other)))


def ended(stack: Stack, text: str) -> Stack:
    """`stack` with one line more."""
    module = Module(stack.size, lines.parse(stack.file, 0, text))
    if stack.fallen_back:
        return replace(stack, other=(*stack.other, module))
    return replace(stack, parts=(*stack.parts, module))


def over(stack: Stack, line: Line) -> list[tuple[Line, str]]:
    """The lines that jump over `line`, and how each is written when that is taken out."""
    found: dict[str, tuple[Line, str]] = {}
    for level in _levels(stack.running):
        places = [part.line.place for part in level]
        if line.place not in places:
            continue
        at = places.index(line.place)
        for before, part in enumerate(level[:at]):
            control = _shorter(part.line.control, at - before)
            if isinstance(part, Module) and control != part.line.control:
                found[part.line.place] = (part.line, part.line.with_control(f"[{control}]"))
    return list(found.values())


def to_ukey(stack: Stack, line: Line, ahead: Sequence[Line]) -> int:
    """How many lines stand between `line` and the first of `ahead`; 0: none, or not to be seen."""
    wanted = {each.place for each in ahead}
    for level in _levels(stack.running):
        places = [part.line.place for part in level]
        if line.place in places:
            after = places[places.index(line.place) + 1 :]
            return next((number for number, place in enumerate(after) if place in wanted), 0)
    return 0


def _levels(parts: tuple[Part, ...]) -> Iterator[list[Module | Group]]:
    """The lines that libpam counts together."""
    yield list(counted(parts))
    for part in walk(parts):
        if isinstance(part, Group) and part.substack:
            yield list(counted(part.parts))


def _shorter(control: str, distance: int) -> str:
    """`control` with each jump over at least `distance` lines one line shorter."""

    def one_less(found: re.Match[str]) -> str:
        number = int(found[2][:9])
        if number < distance:
            return found[0]
        return found[1] + (str(number - 1) if number > 1 else "ignore")

    return _NUMBER.sub(one_less, control)
