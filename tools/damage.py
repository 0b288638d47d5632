# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Records and state of this host that are damaged or gone: the rows, for programs and for
people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import output
from .bus import Row
from .language import N_, why
from .output import Colour

#: The keys of a row, and what they mean.
KEYS = (
    ("path", N_("the file")),
    ("why", N_("the name of what is wrong with it, such as mode")),
    ("facts", N_("an object of what that is about: mode, size, line number and the like")),
    ("text", N_("the same for people, in the language of the locale")),
)
_BESIDE = frozenset({"damaged", "stray", "path", "why"})


def is_file(row: Mapping[str, Any]) -> bool:
    """Whether the keyservice's row tells of a file, and not of a binding."""
    return bool(row.get("damaged") or row.get("stray"))


def rows(answer: Iterable[Mapping[str, Any]], kind: str = "damaged") -> list[Row]:
    """For each row of the keyservice's that tells of damage, one with exactly the documented keys.

    `kind`: or of a file that is ``stray``.
    """
    return [
        {
            "path": each.get("path"),
            "why": each.get("why"),
            "facts": {name: value for name, value in each.items() if name not in _BESIDE},
            "text": why(each),
        }
        for each in answer
        if each.get(kind)
    ]


def show(found: Sequence[Row], colour: Colour = Colour.ALARM) -> None:
    """A line for each, on standard error."""
    for each in found:
        output.say(f"{each['path']}: {each['text']}", colour)
