# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a command prints: safe text, tables, colours, JSON.

Data goes to standard output, everything else to standard error. Nobody vouches for the devices that
serials and labels come from, so no text reaches a terminal with a control character in it.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from shutil import get_terminal_size
from typing import TextIO

Value = str | int | bool | None | Sequence["Value"] | Mapping[str, "Value"]

#: Wider than this, prose is hard to read.
PROSE_MAX = 96
#: Marks that may not end a line of Chinese text.
_NOT_LAST = frozenset("（《「『【“‘")
#: Marks that may not begin a line of Chinese text.
_NOT_FIRST = frozenset("，。、；：！？）》」』】”’…,.;:!?)]}")


class Colour(Enum):
    """What a colour says. Nothing is said by colour alone."""

    NONE = ""
    BOLD = "1"
    FAINT = "2"
    ALARM = "1;31"
    WARNING = "33"
    GOOD = "32"


def colourful(stream: TextIO) -> bool:
    """Colours are wanted: a terminal, no ``NO_COLOR`` (no-color.org), not a dumb one."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def paint(text: str, colour: Colour, stream: TextIO | None = None) -> str:
    """`text` in `colour` where `stream` (standard output) shows colours, else `text`."""
    if colour is Colour.NONE or not colourful(stream or sys.stdout):
        return text
    return f"\x1b[{colour.value}m{text}\x1b[0m"


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with each character that shows nothing itself, and might steer a terminal or hide in
    a serial, as ``\\xNN`` or ``\\uNNNN``.

    With `lines`, a line feed stays one: for the service's own texts, never for a device's.
    """
    return "".join(
        char
        if (lines and char == "\n") or not _unsafe(char)
        else char.encode("unicode_escape").decode()
        for char in text
    )


#: Controls; format characters, such as those of direction; surrogates, private and unassigned
#: characters; line and paragraph separators.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def _unsafe(char: str) -> bool:
    return unicodedata.category(char) in _UNSAFE


def width(text: str) -> int:
    """Columns that `text` takes on a terminal: Chinese characters take two, accents none."""
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def pad(text: str, columns: int) -> str:
    """`text` filled up with spaces to `columns`."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """As much of `text` as fits into `columns`, ending in ``…`` where something is missing."""
    if width(text) <= columns:
        return text
    out, used = [], 1
    for char in text:
        used += _char_width(char)
        if used > columns:
            break
        out.append(char)
    return "".join(out) + "…"


def wrap(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns`: broken at spaces, and between Chinese characters
    except before a closing mark. A single word that is longer stays whole."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(" ".join(text.split())):
        if line and width(line) + width(piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    if line.strip() or not lines:
        lines.append(line.rstrip())
    return lines


def _pieces(text: str) -> Iterable[str]:
    """The parts that may not be broken, each with the spaces behind it."""
    piece = ""
    for char in text:
        wide = _char_width(char) == 2
        if piece and char != " " and char not in _NOT_FIRST:
            last = piece[-1]
            if last == " " or (last not in _NOT_LAST and (wide or _char_width(last) == 2)):
                yield piece
                piece = ""
        piece += char
    if piece:
        yield piece


def columns_of(stream: TextIO) -> int:
    """The width of the terminal behind `stream`, else of a page: 80."""
    if not stream.isatty():
        return 80
    return max(20, get_terminal_size((80, 24)).columns)


Cell = str | tuple[str, Colour]


def _split(cell: Cell) -> tuple[str, Colour]:
    text, colour = (cell, Colour.NONE) if isinstance(cell, str) else cell
    return printable(text), colour


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print `rows` under `heads`. On a terminal that is too narrow, each row becomes a block of
    ``head: cell`` lines, so that no serial is ever cut."""
    out = sys.stdout
    split = [[_split(cell) for cell in row] for row in rows]
    widths = [
        max([width(head), *(width(row[at][0]) for row in split)]) for at, head in enumerate(heads)
    ]
    if out.isatty() and sum(widths) + 2 * (len(widths) - 1) > columns_of(out):
        for number, row in enumerate(split):
            if number:
                print(file=out)
            fields(list(zip(heads, row, strict=True)))
        return
    head_line = "  ".join(map(pad, heads, widths)).rstrip()
    print(paint(head_line, Colour.BOLD), file=out)
    for row in split:
        line = ""
        for at, (text, colour) in enumerate(row):
            fill = "" if at == len(row) - 1 else " " * (widths[at] - width(text) + 2)
            line += paint(text, colour) + fill
        print(line.rstrip(), file=out)


def fields(rows: Sequence[tuple[str, Cell]]) -> None:
    """Print ``name: value`` lines, the values under one another."""
    if not rows:
        return
    widest = max(width(name) for name, _ in rows)
    for name, cell in rows:
        text, colour = _split(cell)
        print(f"{pad(name + ':', widest + 1)} {paint(text, colour)}".rstrip())


def emit(document: Mapping[str, Value]) -> None:
    """Print `document` as one line of JSON, at once. Chinese stays readable where it can be shown.
    Characters that show nothing themselves are escaped; JSON demands that of the first 32 only."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(document, ensure_ascii=not utf8, separators=(", ", ": "))
    print("".join(json.dumps(char)[1:-1] if _unsafe(char) else char for char in text), flush=True)


def say(text: str, colour: Colour = Colour.NONE) -> None:
    """A line for the person, on standard error. Texts of the service may have several lines.

    If it cannot be written, as on a full disk, nothing more is written: the exit status tells that.
    """
    try:
        print(paint(printable(text, lines=True), colour, sys.stderr), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        lead_nowhere(2)


def lead_nowhere(number: int) -> None:
    """Discard all that is written to a standard stream, also what it could not take just now."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
