# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The page of a command, from what its ``--help`` is made from, in the language of the texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tools import exits
from tools.language import N_, _
from tools.manual import ENVIRONMENT
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
        lines = roff.head(
            _page_name(parser.prog),
            manual.section,
            date=self._date,
            source=self._source,
            volume=_(VOLUMES[manual.section]),
        )
        lines += roff.heading(_(NAME))
        lines += [rf"{roff.verbatim(_page_name(parser.prog))} \- {_brief(_(manual.summary))}"]
        lines += [*roff.heading(_(SYNOPSIS)), *_synopsis(parser)]
        lines += roff.heading(_(DESCRIPTION))
        texts = [_(manual.summary), *_(manual.about).split("\n\n")]
        lines += roff.paragraphs(self._prose(text) for text in texts if text)
        if manual.subcommands:
            lines += roff.heading(_(SUBCOMMANDS))
            rows = [(self._reference(f"{parser.prog} {n}"), _(t)) for n, t in manual.subcommands]
            lines += roff.tagged([(tag, self._prose(text)) for tag, text in rows])
        lines += roff.heading(_(OPTIONS))
        taken = [argument for argument in arguments(parser) if argument.value != "SUBCOMMAND"]
        taken.sort(key=lambda argument: bool(argument.flags))  # what stands alone first
        lines += roff.tagged([(synopsis.tag(each), self._prose(each.text)) for each in taken])
        if manual.json_keys:
            lines += roff.heading(_(JSON))
            lines += roff.fill(self._prose(_("--json prints one object. Its keys:")))
            lines += self._list(manual.all_keys())
        lines += roff.heading(_(STATUS))
        lines += self._list((str(int(each)), text) for each, text in exits.MEANINGS.items())
        lines += roff.heading(_(VARIABLES))
        lines += roff.tagged(
            [(roff.bold(name), self._prose(_(text))) for name, text in ENVIRONMENT]
        )
        if manual.files:
            lines += roff.heading(_(FILES))
            rows = [(roff.italic(path), self._prose(_(text))) for path, text in manual.files]
            lines += roff.tagged(rows)
        lines += [*roff.heading(_(EXAMPLES)), *self._examples(parser)]
        lines += [*roff.heading(_(SEE)), *self._see(parser)]
        return "\n".join(lines) + "\n"

    def _prose(self, text: str) -> str:
        return roff.prose(text, self._parsers.keys())

    def _list(self, rows: Iterable[tuple[str, str]]) -> list[str]:
        return roff.columns([(name, self._prose(_(text))) for name, text in rows])

    def _examples(self, parser: Parser) -> list[str]:
        lines: list[str] = []
        for number, (line, purpose) in enumerate(parser.manual.examples):
            lines += [".PP"] if number else []
            lines += roff.fill(self._prose(_sentence(_(purpose))))
            lines += roff.example([line])
        return lines

    def _see(self, parser: Parser) -> list[str]:
        see = list(parser.manual.see)
        parent = parser.prog.partition(" ")[0]
        if parent != parser.prog:
            see.append(parent)
        return [",\n".join(map(self._reference, see))]

    def _reference(self, to: str) -> str:
        """A page by the command as it is typed, such as ``ukey list``, or by ``name(section)``."""
        match = _PAGE.fullmatch(to)
        if match is not None:
            return rf"{roff.bold(match['name'])}({match['section']})"
        if to not in self._parsers:
            return roff.bold(to)  # it has no page; a test tells
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
    colon, stop = (":", ".") if purpose.isascii() else ("：", "。")
    end = "" if purpose[-1] in "?？.。" else stop if colon in purpose else colon
    return purpose[:1].upper() + purpose[1:] + end


def _synopsis(parser: Parser) -> list[str]:
    if parser.manual.subcommands:
        forms = [form.removeprefix(parser.prog).split() for form in parser.manual.usage]
        words = [[_literal_or_value(word) for word in form] for form in forms]
    else:
        words = [synopsis.words(arguments(parser))]
    return [line for form in words for line in (f'.SY "{parser.prog}"', *form, ".YS")]


def _literal_or_value(word: str) -> str:
    return roff.italic(word) if word.isupper() else roff.bold(word)
