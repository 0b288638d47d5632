# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line of each command: the one source of its ``--help``, its manual page and its
completions."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import NoReturn

from keyservice import __version__

from . import help as rendering
from . import output
from .exits import Exit
from .language import _
from .manual import Manual


class Parser(argparse.ArgumentParser):
    """A parser whose help is a short manual page."""

    def __init__(self, prog: str, manual: Manual) -> None:
        super().__init__(
            prog=prog,
            description="\n\n".join(_(text) for text in (manual.summary, manual.about) if text),
            formatter_class=rendering.Formatter,
            add_help=False,
            allow_abbrev=False,
            usage=("\n" + " " * len(_("usage: "))).join(manual.usage) or None,
        )
        self.manual = manual
        self.add_argument("-h", "--help", action="help", help=_("show this help message and exit"))
        self.add_argument(
            "--version",
            action="version",
            version=f"pam-ukey {__version__}",
            help=_("show the version and exit"),
        )
        if manual.json_keys:
            self.add_argument(
                "--json",
                action="store_true",
                help=_("print one JSON object on standard output, for programs"),
            )

    def format_help(self) -> str:
        return rendering.render(super().format_help(), self.manual)

    def error(self, message: str) -> NoReturn:
        """A wrong command line: two lines on standard error, not the whole help."""
        sys.stderr.write(self.format_usage())
        hint = _("Try: {command} --help").format(command=self.prog)
        sys.stderr.write(f"{self.prog}: {output.printable(message)}\n{hint}\n")
        raise SystemExit(int(Exit.USAGE))


def name(text: str) -> str:
    """argparse's type of an option that names something. An empty value, as of an unset variable,
    names nothing."""
    if not text:
        raise argparse.ArgumentTypeError(_("it is empty"))
    return text


def add_serial(to: argparse._ActionsContainer, help: str) -> None:
    """``--serial``, to a parser or a group of one."""
    to.add_argument("--serial", metavar="SERIAL", type=name, help=help)


def add_application(to: argparse._ActionsContainer, help: str) -> None:
    """``--application``, to a parser or a group of one."""
    to.add_argument("--application", metavar="NAME", type=name, help=help)


@dataclass(frozen=True)
class Argument:
    """An option or a positional argument, as pages and completions need it."""

    flags: tuple[str, ...]  #: such as ``-h``, ``--help``; none for a positional one
    value: str  #: what stands for its value, such as ``USER``; empty where it takes none
    text: str  #: what it is for
    required: bool
    several: bool  #: an operand that may stand more than once
    optional_value: bool  #: an option that may stand alone too
    choices: tuple[str, ...]
    rival: int | None  #: arguments of one number exclude each other


def arguments(parser: argparse.ArgumentParser) -> list[Argument]:
    """The arguments that `parser` takes, in the order of its help."""
    rival = {
        id(action): number
        for number, group in enumerate(parser._mutually_exclusive_groups)
        for action in group._group_actions
    }
    return [
        Argument(
            flags=tuple(action.option_strings),
            value="" if action.nargs == 0 else str(action.metavar or action.dest.upper()),
            text=(action.help or "") % {**vars(action), "prog": parser.prog},
            # argparse calls an operand that may be absent required
            required=action.required
            and action.nargs not in (argparse.OPTIONAL, argparse.ZERO_OR_MORE),
            several=action.nargs in (argparse.ZERO_OR_MORE, argparse.ONE_OR_MORE),
            optional_value=bool(action.option_strings) and action.nargs == argparse.OPTIONAL,
            choices=tuple(map(str, action.choices or ())),
            rival=rival.get(id(action)),
        )
        for action in parser._actions
    ]
