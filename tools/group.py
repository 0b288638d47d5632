# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A word that only has others behind it: ``ukey``, and ``ukey pam``. Each is one file, or a group
again, and imported only when it is the one that was asked for."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from .exits import Exit
from .language import _
from .manual import Manual
from .parser import Parser


@dataclass(frozen=True)
class Group:
    """What its package has as ``GROUP``."""

    prog: str  #: what a person types, such as ``ukey pam``
    package: str  #: where its subcommands are
    manual: Manual

    @property
    def subcommands(self) -> list[str]:
        """In the order of the help."""
        return [word for word, _summary in self.manual.subcommands]

    def parser(self) -> Parser:
        out = Parser(self.prog, self.manual)
        out.add_argument(
            "subcommand",
            metavar="SUBCOMMAND",
            choices=self.subcommands,
            help=_("one of those below"),
        )
        return out

    def load(self, subcommand: str) -> ModuleType:
        """The subcommand's module: its ``parser()`` and its ``command(arguments)``."""
        name = subcommand.replace("-", "_")
        return import_module(f"{self.package}.{name}{'_' * keyword.iskeyword(name)}")

    def parsers(self) -> list[Parser]:
        """Its own, then those of all subcommands, group by group."""
        found = [self.parser()]
        for subcommand in self.subcommands:
            module = self.load(subcommand)
            found += module.GROUP.parsers() if hasattr(module, "GROUP") else [module.parser()]
        return found

    def command(self, arguments: Sequence[str]) -> Exit:
        if arguments and arguments[0] in self.subcommands:
            module = self.load(arguments[0])
            run = module.GROUP.command if hasattr(module, "GROUP") else module.command
            status = run(arguments[1:])
            assert isinstance(status, Exit)
            return status
        given = self.parser()
        if not arguments:
            given.error(_("say which subcommand"))
        given.parse_args(arguments)
        raise AssertionError("argparse accepts subcommands only")
