# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Shell patterns over names: whether one fits, and whether one can fit anything at all.

A name that is shown to people fits itself, whatever it holds: makers put brackets into readers'
names, which a shell pattern takes for a set of characters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from .text import plain

#: What stands for all characters that no pattern names.
_OTHER = "é"
_ASCII = frozenset(string.printable[:95])


def fits(name: str, pattern: str) -> bool:
    """Whether `pattern` fits `name`, as it is or as people are shown it, case and all: as a shell
    has it, or with its brackets taken for brackets."""
    literal = pattern.replace("[", "[[]")
    return any(
        fnmatchcase(each, pattern) or fnmatchcase(each, literal) for each in (name, plain(name))
    )


def any_fits(patterns: Iterable[str], name: str) -> bool:
    return any(fits(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Piece:
    """A character of a name, one of `of`; with `often`, any number of such, or none."""

    of: frozenset[str]
    often: bool = False


#: What names of one sort look like.
Shape = Sequence[Piece]


def can_fit(pattern: str, shapes: Iterable[Shape], longest: int) -> bool:
    """Whether there is a name of one of the `shapes`, and of at most `longest` characters, that
    `pattern` fits."""
    read = [_pieces(pattern, sets=True), _pieces(pattern, sets=False)]
    return any(
        len([piece for piece in one if not piece.often]) <= longest and _meet(one, shape)
        for one in read
        for shape in shapes
    )


def text(written: str) -> list[Piece]:
    """The shape of exactly `written`."""
    return [Piece(frozenset(char)) for char in written]


#: Any character that a pattern may name.
ANY = _ASCII | {_OTHER}


def otherwise(start: str, of: frozenset[str]) -> list[list[Piece]]:
    """The shapes of all names of characters `of`, one at least, that do not begin with `start`."""
    shapes = [text(start[:length]) for length in range(1, len(start))]
    for length, char in enumerate(start):
        shapes.append([*text(start[:length]), Piece(of - {char}), Piece(of, often=True)])
    return shapes


def _pieces(pattern: str, *, sets: bool) -> list[Piece]:
    """`pattern` as :mod:`fnmatch` reads it; without `sets`, a bracket is a bracket."""
    pattern = "".join(char if char in ANY else _OTHER for char in re.sub(r"\*+", "*", pattern))
    pieces, at = [], 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        # a set has at least one character: a bracket that comes first does not close it
        first = at + 1 if pattern[at : at + 1] == "!" else at
        end = pattern.find("]", first + 1) if sets and char == "[" else -1
        if char in "*?":
            pieces.append(Piece(ANY, often=char == "*"))
        elif end > 0:
            named = (each for each in ANY if fnmatchcase(each, pattern[at - 1 : end + 1]))
            pieces.append(Piece(frozenset(named)))
            at = end + 1
        else:
            pieces.append(Piece(frozenset(char)))
    return pieces


def _meet(one: Sequence[Piece], two: Sequence[Piece]) -> bool:
    """Whether some name is of both shapes."""

    @cache
    def meet(i: int, j: int) -> bool:
        left, right = one[i : i + 1], two[j : j + 1]
        if not left and not right:
            return True
        if left and left[0].often and meet(i + 1, j):
            return True
        if right and right[0].often and meet(i, j + 1):
            return True
        if not left or not right or not left[0].of & right[0].of:
            return False
        further = i if left[0].often else i + 1, j if right[0].often else j + 1
        return further != (i, j) and meet(*further)

    return meet(0, 0)
