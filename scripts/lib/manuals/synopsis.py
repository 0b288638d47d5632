# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Arguments as a page shows them: in its synopsis, and at the head of what each means."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tools.parser import Argument

from . import roff


def words(taken: Sequence[Argument]) -> list[str]:
    """The synopsis behind the command's name: options first; rivals share one word."""
    shown = sorted(
        (each for each in taken if "--help" not in each.flags), key=lambda each: not each.flags
    )
    out: list[str] = []
    for rival, group in groupby(shown, key=lambda each: each.rival):
        if rival is None:
            out += map(_word, group)
        else:
            out.append("[" + r"\ | ".join(_with_value(each) for each in group) + "]")
    return out


def tag(argument: Argument) -> str:
    """All spellings of an option and its value; or what stands for an operand."""
    if not argument.flags:
        return _value(argument)
    spellings = "".join(f"{roff.bold(flag)}, " for flag in argument.flags[:-1])
    return spellings + _with_value(argument)


def _word(argument: Argument) -> str:
    word = _with_value(argument) if argument.flags else _value(argument)
    if not argument.required:
        word = f"[{word}]"
    return word + ("..." if argument.several else "")


def _with_value(argument: Argument) -> str:
    """An option and its value, which no line end parts."""
    flag = roff.bold(argument.flags[-1])
    if not argument.value:
        return flag
    value = _value(argument)
    return rf"{flag}\ [{value}]" if argument.optional_value else rf"{flag}\ {value}"


def _value(argument: Argument) -> str:
    """What a person puts in, or the one word that it has to be."""
    word = argument.choices == (argument.value,)
    return roff.bold(argument.value) if word else roff.italic(argument.value)
