# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pages that are no command's: ``data/man/NAME.SECTION.in``, in roff. A line ``@part@`` stands
for a list that is made here, from the table that the code or the documents have.

They are English only, as are the configuration's own comments and messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from keyservice import commandline
from tools.parser import arguments
from tools.ukey import bindings

from . import markdown, roff, synopsis

_PART = re.compile(r"@([a-z-]+)@")
#: Keys that ``ukey bindings`` shows and the record does not hold: they follow from the rest.
DERIVED = {"key", "revoked", "algorithm_refused", "account", "uid_now", "user_now"}


def pages_of_files(checkout: Path, *, date: str, source: str) -> dict[str, str]:
    """``name.section`` → the page."""
    configuration = (checkout / "docs/configuration.md").read_text(encoding="utf-8")
    parts = _parts(configuration)
    pages = {}
    for path in sorted((checkout / "data/man").glob("*.in")):
        name, _, section = path.stem.rpartition(".")
        lines = roff.head(name, int(section), date=date, source=source)
        for line in path.read_text(encoding="utf-8").splitlines():
            match = _PART.fullmatch(line)
            if match:
                lines += parts[match[1]]()
            elif line not in roff.LICENCE:
                lines.append(line)
        pages[path.stem] = "\n".join(map(roff.ascii_only, lines)) + "\n"
    return pages


def _parts(configuration: str) -> dict[str, Callable[[], list[str]]]:
    def keys(title: str) -> Callable[[], list[str]]:
        return lambda: _keys(markdown.table(configuration, title))

    return {
        "keys": keys("Keys"),
        "services": keys("One PAM service apart"),
        "quirks": keys("Quirks"),
        "options": lambda: _options(markdown.table(configuration, "Options of the PAM modules")),
        "keyservice-options": _keyservice_options,
        "keyservice-synopsis": _keyservice_synopsis,
        "keyservice-statuses": _keyservice_statuses,
        "record": _record,
    }


def _keys(rows: list[tuple[str, ...]]) -> list[str]:
    """(key, default, meaning), below a heading for each table of the file."""
    lines: list[str] = []
    for table, group in groupby(rows, key=lambda row: markdown.code(row[0]).rpartition(".")[0]):
        if table:
            head = f"[[{table}]]" if table == "quirks" else f"[{table}]"
            lines += [f'.SS "{roff.verbatim(head)}"']
        for key, default, meaning in group:
            tag = roff.bold(markdown.code(key).rpartition(".")[2])
            if default:
                tag += " = " + roff.verbatim(markdown.code(default))
            lines += roff.tagged([(tag, _sentence(markdown.prose(meaning)))])
    return lines


def _options(rows: list[tuple[str, ...]]) -> list[str]:
    return roff.tagged([(_option(code), _sentence(markdown.prose(text))) for code, text in rows])


def _option(cell: str) -> str:
    word, equals, value = markdown.code(cell).partition("=")
    return roff.bold(word + equals) + (roff.italic(value) if value else "")


def _keyservice_options() -> list[str]:
    taken = arguments(commandline.parser())
    return roff.tagged([(synopsis.tag(each), _sentence(roff.prose(each.text))) for each in taken])


def _keyservice_synopsis() -> list[str]:
    words = synopsis.words(arguments(commandline.parser()))
    return [".SY /usr/libexec/ukey/keyservice", *words, ".YS"]


def _keyservice_statuses() -> list[str]:
    rows = [(str(int(status)), text) for status, text in commandline.MEANINGS.items()]
    return roff.columns([(number, _sentence(roff.prose(text))) for number, text in rows])


def _record() -> list[str]:
    rows = [(name, text) for name, text in bindings.KEYS if name not in DERIVED]
    return roff.tagged([(roff.bold(name), _sentence(roff.prose(text))) for name, text in rows])


def _sentence(text: str) -> str:
    """A fragment of a table as a sentence of a page."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", ":")) else ".")
