# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Text as roff with the man(7) macros, which groff and mandoc read alike.

man(7), not mdoc(7): mdoc's headings and list words are English, and half of the pages are Chinese.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

LICENCE = (
    '.\\" SPDX-License-Identifier: Apache-2.0',
    '.\\" Copyright the pam-ukey authors',
)
_CHINESE_MARK = re.compile(r"([，。；：、！？）”]+)(?!$)")
_WIDTH = 80  #: columns of the source's lines

DOCUMENTS = "/usr/share/doc/pam-ukey"  #: where docs/ is installed

#: Parts that may be more than words of a sentence: an option, what is in single quotes, a document,
#: a page, the name of a command. A bare "ukey" is the device.
_MEANT = re.compile(
    r"(?<![\w-])(?P<option>--[a-z][a-z-]*)"
    r"|(?<!\w)'(?P<quoted>\S[^'\n]*)'(?!\w)"
    r"|(?<![\w/])(?P<document>docs/[\w-]+\.md)"
    r"|(?P<page>[a-z][\w.-]*)(?P<section>\([158]\))"
    r"|(?<![\w.'/-])(?P<word>(?!ukey\b)[a-z]+)(?![\w-]|\.\w)",
    re.ASCII,
)


def escape(text: str) -> str:
    """`text` without anything that roff would obey; a hyphen stays one."""
    return text.replace("\\", r"\e")


def verbatim(text: str) -> str:
    """`text` as it is typed: a hyphen is a minus sign, quotes are the typewriter's."""
    out = escape(text).replace("-", r"\-")
    for char, name in (("'", r"\(aq"), ("`", r"\(ga"), ("^", r"\(ha"), ("~", r"\(ti")):
        out = out.replace(char, name)
    return out


def ascii_only(line: str) -> str:
    """The few other characters of an English page by their numbers: any locale then shows them."""
    return "".join(char if char.isascii() else rf"\[u{ord(char):04X}]" for char in line)


def bold(text: str) -> str:
    return rf"\fB{verbatim(text)}\fR"


def italic(text: str) -> str:
    return rf"\fI{verbatim(text)}\fR"


def prose(text: str, commands: Collection[str] = ()) -> str:
    """A sentence of the help, with what is typed in bold: options, and the `commands`, by
    themselves or with all that is in quotes with them. Documents and pages are shown as such."""
    out, end = [], 0
    for match in _MEANT.finditer(text):
        meant = match[0]
        if match["document"]:
            meant = italic(f"{DOCUMENTS}/{meant}")
        elif match["page"]:
            meant = bold(match["page"]) + match["section"]
        elif match["quoted"] and match["quoted"].split()[0] in commands:
            meant = bold(match["quoted"])
        elif match["option"] or meant in commands:
            meant = bold(meant)
        else:
            meant = escape(meant)
        out += [escape(text[end : match.start()]), meant]
        end = match.end()
    return "".join((*out, escape(text[end:])))


def fill(text: str) -> list[str]:
    """Lines of source for a paragraph of :func:`prose`: a new sentence begins a new line.

    Chinese has no spaces that a line end could stand for: such a paragraph is one line, which may
    be broken behind its marks.
    """
    if not text.isascii():
        return [_guarded(_CHINESE_MARK.sub(r"\1\\:", text))]
    lines = []
    for sentence in re.split(r"(?<=[.:?])\s+(?=[A-Z\\'])", text):
        lines += textwrap.wrap(
            sentence, _WIDTH - 4, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """A line of text that begins as a request does, made text."""
    return rf"\&{line}" if line[:1] in (".", "'") else line


def heading(title: str) -> list[str]:
    return [f'.SH "{title}"' if " " in title else f".SH {title}"]


def paragraphs(texts: Iterable[str]) -> list[str]:
    """Paragraphs of :func:`prose`; the first follows a heading."""
    lines: list[str] = []
    for number, text in enumerate(texts):
        lines += [*([".PP"] if number else []), *fill(text)]
    return lines


def tagged(rows: Sequence[tuple[str, str]]) -> list[str]:
    """(tag, text) in roff already: each text is below its tag."""
    lines: list[str] = []
    for tag, text in rows:
        lines += [".TP", tag, *fill(text)]
    return lines


def columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    """(name, text in roff): the texts in one column behind the names, and no space between."""
    indent = min(max(len(name) for name, _text in rows) + 3, 24)
    lines: list[str] = []
    for name, text in rows:
        lines += [f".TP {indent}", bold(name), *fill(text)]
        lines += [] if lines.count(".PD 0") else [".PD 0"]  # the first keeps its distance
    return [*lines, ".PD"]


def example(lines: Iterable[str]) -> list[str]:
    """Lines to be typed, or a file's, as they stand."""
    return [".PP", ".RS 4", ".EX", *(_guarded(verbatim(line)) for line in lines), ".EE", ".RE"]


def head(title: str, section: int, *, date: str, source: str, volume: str = "") -> list[str]:
    """A page's first lines. `volume`: the middle of its first line, else by the section."""
    return [
        *LICENCE,
        # Not hyphenated and left-aligned: no word of a command is taken apart or away.
        ".nr HY 0",
        f'.TH {title} {section} {date} "{source}"' + (f' "{volume}"' if volume else ""),
        ".ad l",
    ]
