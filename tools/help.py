# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``--help`` on a terminal: argparse's part, then what the manual teaches beyond it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import Any

from . import exits, output
from .language import _
from .manual import Manual


class Formatter(argparse.HelpFormatter):
    """argparse's layout, with line breaks for Chinese and paragraphs kept."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_columns())

    def _format_usage(self, *arguments: Any) -> str:
        """argparse counts characters: the lines that it puts below the prefix are moved to its
        columns."""
        text = super()._format_usage(*arguments)
        prefix = _("usage: ")
        shift = " " * (output.width(prefix) - len(prefix))
        return re.sub(r"\n(?= )", "\n" + shift, text)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return output.wrap(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            "\n".join(indent + line for line in output.wrap(paragraph, width - len(indent)))
            for paragraph in text.split("\n\n")
        )


def render(usage_and_options: str, manual: Manual) -> str:
    """The whole help."""
    columns = _columns()
    parts = [usage_and_options.rstrip()]
    if manual.subcommands:
        parts.append(_list(_("subcommands:"), manual.subcommands, columns))
    if manual.examples:
        lines = [_("examples:")]
        for line, purpose in manual.examples:
            lines += [f"  {text}" for text in output.wrap("# " + _(purpose), columns - 2)]
            lines += [f"  {line}"]
        parts.append("\n".join(lines))
    if manual.json_keys:
        parts.append(_list(_("keys of --json:"), manual.all_keys(), columns))
    statuses = [(str(int(status)), text) for status, text in exits.MEANINGS.items()]
    parts.append(_list(_("exit status:"), statuses, columns))
    if manual.files:
        parts.append(_list(_("files:"), manual.files, columns))
    if manual.see:
        parts.append(_("see also:") + "\n  " + "  ".join(manual.see))
    return "\n\n".join(parts) + "\n"


def _columns() -> int:
    return min(output.columns_of(sys.stdout), output.PROSE_MAX)


def _list(title: str, rows: Iterable[tuple[str, str]], columns: int) -> str:
    """A titled list of names and what they mean, the meanings in one column."""
    rows = list(rows)
    indent = min(max(len(name) for name, _text in rows) + 4, 28)
    lines = [title]
    for name, text in rows:
        wrapped = output.wrap(_(text), columns - indent)
        head = f"  {name}"
        if len(head) + 2 > indent:
            lines.append(head)
            head = ""
        for line in wrapped:
            lines.append(head.ljust(indent) + line)
            head = ""
    return "\n".join(lines)
