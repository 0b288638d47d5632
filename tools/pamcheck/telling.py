# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The things that a table tells an attacker, and those that are worth knowing of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..language import _
from .finding import Finding, Severity
from .libpam import Ran
from .lines import Line
from .modules import is_decoy, is_gate, is_shut_gate, is_ukey, is_uniform, ukey_options
from .remedy import without, written
from .stack import OTHER
from .table import Cell, Table, Verdict
from .world import Password, Ukey

_DECOY = "auth [default=die] pam_ukey.so decoy uniform"
#: Services for which break-glass can open: those used at a console, and the files that they
#: include.
_CONSOLE = frozenset(("login", "su", "su-l", "sudo", "sudo-i", "common-auth", "system-auth"))


def tells(table: Table, *, opened: bool) -> Iterator[Finding]:
    """Whether a wrong password and a wrong ukey look alike from outside. `opened`: there is a worse
    finding, so that things that may be meant are not told."""
    lines = ukeys_of(table)
    states = (Ukey.WRONG, Ukey.ABSENT, Ukey.NOT_ENROLLED)
    right = [table.plain[Password.RIGHT, state] for state in states]
    wrong = [table.plain[Password.WRONG, state] for state in states]
    failed = [ran for ran in right if not ran.success]
    if not lines or not failed or any(ran.success for ran in wrong):
        return
    looks = {(ran.code, _asked(table, ran)) for ran in (*failed, *wrong)}
    if len(looks) == 1 and len(failed) == len(right):
        yield from _by_time(table)
        return
    uniform = any(is_uniform(module.line) for module in table.stack.modules())
    text = _("the verdict tells which factor failed")
    if not uniform and opened:
        return
    if not uniform:
        yield Finding(
            "tells",
            Severity.NOTE,
            lines[-1].place,
            _("{finding}: the helpful stacks do, for honest people's sake").format(finding=text),
            _("where strangers reach the prompt, use a uniform stack of pam.d-examples"),
        )
        return
    unasked = [ran for ran in wrong if _asked(table, ran) != _asked(table, failed[0])]
    if unasked:
        text = _("{finding}: after a wrong password the PIN is not asked for as after a right one")
        remedy, write = _("a wrong password has to run on to the line:"), _DECOY
        place = ended_at(table, unasked[0])
    else:
        text = _("{finding}: codes differ")
        line = lines[-1]
        words = [word for word in ("uniform",) if word not in ukey_options(line)]
        remedy = _("write:")
        write = " ".join((without(line, "nouserok"), *words))
        if not written(table, line, [write]):
            remedy, write = _("use one of pam.d-examples"), ""
        place = line.place
    said = text.format(finding=_("the verdict tells which factor failed"))
    yield Finding("tells", Severity.TELLS, place, said, remedy, write)


def _by_time(table: Table) -> Iterator[Finding]:
    """Whether under ``uniform`` a member of the group waits for the gate on one branch only."""
    lines = [module.line for module in table.stack.modules()]
    gates = [line for line in lines if is_gate(line)]
    if gates and any(map(is_uniform, lines)) and not any(map(is_shut_gate, lines)):
        yield Finding(
            "tells",
            Severity.TELLS,
            gates[0].place,
            _("the break-glass gate runs after the right password only: its members' wait tells"),
            _("put the two break-glass lines of the uniform example in front of the decoy"),
        )


def _asked(table: Table, ran: Ran) -> int:
    """How many times somebody is asked for a PIN."""
    modules = {module.index: module.line for module in table.stack.modules()}
    return sum(is_ukey(modules[index]) for index in ran.trace if index in modules)


# -- what is worth knowing


def untried(table: Table) -> Iterator[Finding]:
    if not table.complete:
        yield Finding(
            "not-all-tried",
            Severity.NOTE,
            str(table.stack.file),
            _("not every combination of what its modules can return was tried, they are so many"),
            _("take out the modules that are not needed"),
        )


def takes_other(table: Table) -> Iterator[Finding]:
    if table.stack.fallen_back and table.stack.service != OTHER:
        yield Finding(
            "takes-other",
            Severity.NOTE,
            str(table.stack.file),
            _("it has no auth line: libpam takes those of '{other}'").format(other=OTHER),
            _("write auth lines of its own"),
        )


def notes(table: Table) -> Iterator[Finding]:
    ukeys = ukeys_of(table)
    if not ukeys:
        return
    both, without = (
        table.cells[Password.RIGHT, each] for each in (Ukey.VERIFIED, Ukey.NOT_ENROLLED)
    )
    if both.verdict is not Verdict.OUT and not without.usual:
        remedy = _("enrol everybody first (see 'ukey bindings --missing'), or begin with:")
        write = "auth [success=ok ignore=ignore default=die] pam_ukey.so nouserok"
        if any(map(is_uniform, ukeys)):  # which pam_ukey refuses beside nouserok
            write = ""
        else:
            may = [(Password.RIGHT, Ukey.NOT_ENROLLED)]
            after = written(table, ukeys[-1], [write], may=may)
            if after is None or not after.cells[may[0]].usual:
                write = ""
        if not write:
            remedy = _("enrol everybody first (see 'ukey bindings --missing')")
        yield Finding(
            "nobody-without-ukey",
            Severity.NOTE,
            ukeys[-1].place,
            _("nobody without a ukey can log in"),
            remedy,
            write,
        )
    gate = any(is_gate(module.line) for module in table.stack.modules())
    broken: Cell = table.cells[Password.RIGHT, Ukey.BROKEN]
    if not gate and broken.verdict is Verdict.OUT and table.stack.service in _CONSOLE:
        yield Finding(
            "no-break-glass",
            Severity.NOTE,
            ukeys[-1].place,
            _("no break-glass: while the keyservice is down, nobody gets in"),
            _("put the two break-glass lines of pam.d-examples in front of this one"),
        )


def ukeys_of(table: Table) -> list[Line]:
    """The lines that ask for the ukey, or else the decoys."""
    lines = [module.line for module in table.stack.modules() if is_ukey(module.line)]
    return [line for line in lines if not is_decoy(line)] or lines


def ended_at(table: Table, ran: Ran) -> str:
    """The line at which a run ended."""
    places = {module.index: module.line.place for module in table.stack.modules()}
    return next(
        (places[index] for index in reversed(ran.trace) if index in places), str(table.stack.file)
    )
