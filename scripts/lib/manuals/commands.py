# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The page of a command, from what its ``--help`` is made from, in the language of the texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tools import exits
from tools.language import N_, _
from tools.manual import ENVIRONMENT, Manual
from tools.parser import Parser, arguments

from . import roff, synopsis

NAME, SYNOPSIS, DESCRIPTION = N_("NAME"), N_("SYNOPSIS"), N_("DESCRIPTION")
SUBCOMMANDS, OPTIONS, JSON = N_("SUBCOMMANDS"), N_("OPTIONS"), N_("JSON")
STATUS, VARIABLES, FILES = N_("EXIT STATUS"), N_("ENVIRONMENT"), N_("FILES")
EXAMPLES, SEE = N_("EXAMPLES"), N_("SEE ALSO")
VOLUMES = {1: N_("User Commands"), 8: N_("System Administration")}

_PAGE = re.compile(r"(?P<name>[\w.-]+)\((?P<section>[1-9])\)", re.ASCII)


class Commands:
    """The pages of all commands, which refer to one another."""

    def __init__(self, parsers: Sequence[Parser], *, date: str, source: str) -> None:
        self._parsers = {parser.prog: parser for parser in parsers}
        self._date, self._source = date, source

    def pages(self) -> dict[str, str]:
        """``name.section`` → the page."""
        return {
            f"{_page_name(prog)}.{parser.manual.section}": self._page(parser)
            for prog, parser in self._parsers.items()
        }

    def _page(self, parser: Parser) -> str:
        manual = parser.manual
        name = _page_name(parser.prog)
        taken = [argument for argument in arguments(parser) if argument.value != "SUBCOMMAND"]
        taken.sort(key=lambda argument: bool(argument.flags))  # what stands alone first
        lines = roff.head(
            name,
            manual.section,
            date=self._date,
            source=self._source,
            volume=_(VOLUMES[manual.section]),
        )
        for title, body in (
            (NAME, [rf"{roff.verbatim(name)} \- {_brief(_(manual.summary))}"]),
            (SYNOPSIS, _synopsis(parser)),
            (DESCRIPTION, self._description(manual)),
            (SUBCOMMANDS, self._subcommands(parser)),
            (OPTIONS, roff.tagged([(synopsis.tag(o), self._prose(o.text)) for o in taken])),
            (JSON, self._json(manual)),
            (STATUS, self._list((str(int(each)), text) for each, text in exits.MEANINGS.items())),
            (VARIABLES, roff.tagged([(roff.bold(v), self._prose(_(t))) for v, t in ENVIRONMENT])),
            (FILES, roff.tagged([(roff.italic(f), self._prose(_(t))) for f, t in manual.files])),
            (EXAMPLES, self._examples(manual)),
            (SEE, self._see(parser)),
        ):
            lines += [*roff.heading(_(title)), *body] if body else []
        return "\n".join(lines) + "\n"

    def _description(self, manual: Manual) -> list[str]:
        texts = [_(text) for text in (manual.summary, manual.about) if text]
        return roff.paragraphs(map(self._prose, "\n\n".join(texts).split("\n\n")))

    def _subcommands(self, parser: Parser) -> list[str]:
        rows = parser.manual.subcommands
        return roff.tagged(
            [(self._reference(f"{parser.prog} {n}"), self._prose(_(text))) for n, text in rows]
        )

    def _json(self, manual: Manual) -> list[str]:
        if not manual.json_keys:
            return []
        intro = roff.fill(self._prose(_("--json prints one object. Its keys:")))
        return intro + self._list(manual.all_keys())

    def _prose(self, text: str) -> str:
        return roff.prose(text, self._parsers.keys())

    def _list(self, rows: Iterable[tuple[str, str]]) -> list[str]:
        return roff.columns([(name, self._prose(_(text))) for name, text in rows])

    def _examples(self, manual: Manual) -> list[str]:
        lines: list[str] = []
        for number, (line, purpose) in enumerate(manual.examples):
            lines += [".PP"] if number else []
            lines += roff.fill(self._prose(_sentence(_(purpose))))
            lines += roff.example([line])
        return lines

    def _see(self, parser: Parser) -> list[str]:
        see = list(parser.manual.see)
        parent = parser.prog.rpartition(" ")[0]
        if parent:
            see.append(parent)
        return [",\n".join(map(self._reference, see))]

    def _reference(self, to: str) -> str:
        """A page by the command as it is typed, such as ``ukey list``, or by ``name(section)``."""
        match = _PAGE.fullmatch(to)
        if match is not None:
            return rf"{roff.bold(match['name'])}({match['section']})"
        if to not in self._parsers:
            return roff.bold(to)  # it has no page; a test finds that
        return rf"{roff.bold(_page_name(to))}({self._parsers[to].manual.section})"


def _page_name(prog: str) -> str:
    return prog.replace(" ", "-")


def _brief(summary: str) -> str:
    """A summary as the whatis database has it: its head, neither a capital nor a full stop."""
    head = re.split(r":|：|[.。]$", summary)[0]
    return roff.escape(head[:1].lower() + head[1:])


def _sentence(purpose: str) -> str:
    """What an example is for, before the example."""
    purpose = re.sub(r"(?<=\? )[a-z]", lambda letter: letter[0].upper(), purpose)
    english = purpose.isascii()
    colon, stop = (":", ".") if english else ("：", "。")
    end = "" if purpose[-1] in "?？.。" else stop if colon in purpose else colon
    return (purpose[:1].upper() if english else purpose[:1]) + purpose[1:] + end


def _synopsis(parser: Parser) -> list[str]:
    if parser.manual.subcommands:
        forms = [form.removeprefix(parser.prog).split() for form in parser.manual.usage]
        words = [[_literal_or_value(word) for word in form] for form in forms]
    else:
        words = [synopsis.words(arguments(parser))]
    return [line for form in words for line in (f'.SY "{parser.prog}"', *form, ".YS")]


def _literal_or_value(word: str) -> str:
    return roff.italic(word) if word.isupper() else roff.bold(word)
