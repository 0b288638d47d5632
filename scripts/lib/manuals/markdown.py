# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tables of ``docs/configuration.md`` for manual pages: both then say the same."""

from __future__ import annotations

import re

from . import roff

_CELL = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<stressed>[^*]+)\*|\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)"
)


def table(document: str, title: str) -> list[tuple[str, ...]]:
    """The rows of the first table below the heading `title`, each cell in Markdown."""
    _, found, below = document.partition(f"## {title}\n")
    rows: list[tuple[str, ...]] = []
    for line in below.splitlines():
        if line.startswith("|"):
            rows.append(tuple(cell.strip() for cell in _CELL.split(line)[1:-1]))
        elif rows:
            break
    if not found or len(rows) < 3:
        raise ValueError(f"there is no table below “{title}”")
    return rows[2:]  # without the head and the line under it


def code(cell: str) -> str:
    """What is in backquotes, when that is all; empty for an empty cell."""
    return cell.strip("`")


def prose(cell: str) -> str:
    """A cell as roff. A link to a document beside this one names it: a page has no links."""
    out, end = [], 0
    for match in _SPAN.finditer(cell):
        out.append(roff.prose(cell[end : match.start()]))
        if match["target"]:
            file, _, _anchor = match["target"].partition("#")
            out.append(roff.prose(f"docs/{file}" if file else match["text"]))
        elif match["stressed"]:
            out.append(roff.italic(match["stressed"]))
        else:
            out.append(roff.bold(match["code"] or match["strong"]))
        end = match.end()
    return roff.ascii_only("".join((*out, roff.prose(cell[end:]))))
