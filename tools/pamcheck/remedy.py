# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which line to change, and how to write it."""

from __future__ import annotations

from ..language import _
from .controls import action, jumps
from .libpam import Ran
from .lines import Line
from .modules import DIRECTORIES, is_decoy, is_password, is_ukey, only_refuses
from .table import Table
from .world import Password

#: What lets in only whoever has the factor of the line.
STRICT = "[success=ok default=die]"


def blame(table: Table, ran: Ran, password: Password) -> tuple[Line, str, str]:
    """The line to change where `ran` let in who should not be, and how to write it."""
    modules = {module.index: module for module in table.stack.modules()}
    trace = [modules[index] for index in ran.trace if index in modules]
    wanted = is_password if password is Password.WRONG else asks_for_ukey
    asked = [module for module in trace if wanted(module.line)]
    if asked:
        # It was asked, and its failure was passed over.
        return asked[-1].line, *_strict(table, asked[-1].line)
    ahead = [module for module in modules.values() if wanted(module.line)]
    first = ahead[0].index if ahead else 1 + max(modules, default=0)
    before = [module for module in trace if module.index < first] or trace
    if not before:
        return table.stack.modules()[0].line, _("use one of pam.d-examples"), ""
    last = before[-1]
    if not ahead and (is_password(last.line) or is_ukey(last.line)):
        return last.line, _("use one of pam.d-examples"), ""
    if ahead and jumps(last.line.control) and action(last.line.control, "success") != "done":
        text = _("count again: no jump may go over {place}")
        return last.line, text.format(place=ahead[0].line.place), ""
    return last.line, *cure(table, last.line)


def cure(table: Table, line: Line) -> tuple[str, str]:
    """What to do with a line that ends the stack too early: a remedy, and how to write the line."""
    if line.name in DIRECTORIES and sum(is_password(m.line) for m in table.stack.modules()) > 1:
        # Strict, it would keep out whoever is not of the directory.
        return _("use one of pam.d-examples"), ""
    if is_password(line) or is_ukey(line) or only_refuses(line):
        return _strict(table, line)
    return _("take the line out"), ""


def _strict(table: Table, line: Line) -> tuple[str, str]:
    """Write it strict, unless whoever passes it then comes to a line that refuses everybody."""
    lines = [module.line for module in table.stack.modules()]
    after = lines[lines.index(line) + 1 :]
    if action(line.control, "success") != "ok" and any(map(refuses_all, after)):
        return _("use one of pam.d-examples"), ""
    return _("write:"), line.with_control(STRICT)


def refuses_all(line: Line) -> bool:
    """Nobody gets past it, as is meant of the last line, and of a decoy."""
    refuses = action(line.control, "auth_err") in ("bad", "die")
    return refuses and (line.name == "pam_deny" or is_decoy(line))


def asks_for_ukey(line: Line) -> bool:
    return is_ukey(line) and not is_decoy(line)


def without(line: Line, word: str) -> str:
    """`line` under a strict control, and without an option."""
    words = line.with_control(STRICT).split(" ")
    return " ".join(each for each in words if each != word)
