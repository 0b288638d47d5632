# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with a table, in words, and which line to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..language import _
from .controls import action
from .finding import Finding, Severity
from .libpam import Ran
from .lines import Line
from .modules import is_decoy, is_gate, is_password, is_ukey, is_uniform, ukey_options
from .remedy import STRICT, asks_for_ukey, blame, cure, refuses_all, without
from .stack import OTHER
from .table import Cell, Flips, Table, Verdict
from .world import Password, Role, Ukey

_DECOY = "auth [default=die] pam_ukey.so decoy uniform"

#: How many lines a finding names.
_NAMED = 3
#: Where break-glass can open: what is used at a console, and the files that it includes.
_CONSOLE = frozenset(("login", "su", "su-l", "sudo", "sudo-i", "common-auth", "system-auth"))


def findings(table: Table) -> list[Finding]:
    """What the table shows, the worst first."""
    found = [*_untried(table), *_takes_other(table), *_openings(table), *_shut(table)]
    if table.lets_in:
        found += _never(table)
        found += _tells(table, opened=any(each.severity is Severity.OPEN for each in found))
        found += _notes(table)
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


# -- who gets in without both


def _openings(table: Table) -> Iterator[Finding]:
    ukey = any(is_ukey(module.line) for module in table.stack.modules())
    if not ukey:
        yield from _without_ukey(table)
        return
    anybody = [state for state in Ukey if state is not Ukey.VERIFIED]
    told: set[Flips] = set()
    nothing = _("neither password nor ukey is needed")
    yield from _opening(table, "anybody", nothing, Password.WRONG, anybody, told)
    alone = _("the ukey alone lets in, whatever the password")
    yield from _opening(table, "ukey-alone", alone, Password.WRONG, [Ukey.VERIFIED], set(told))
    word = _("the password alone lets an enrolled user in")
    states = [Ukey.WRONG, Ukey.ABSENT, Ukey.BROKEN]
    yield from _opening(table, "password-alone", word, Password.RIGHT, states, told)
    yield from _not_enrolled(table, told)


def _without_ukey(table: Table) -> Iterator[Finding]:
    ways = [flips for cell in table.cells.values() for flips in cell.ways]
    if not ways:
        return
    passwords = [module.line for module in table.stack.modules() if is_password(module.line)]
    place = passwords[-1].place if passwords else str(table.stack.file)
    remedy, write = _("use one of pam.d-examples"), ""
    # Behind a jump or a `sufficient` it would not be reached.
    if len(passwords) == 1 and action(passwords[0].control, "success") == "ok":
        remedy = _("use one of pam.d-examples, or add behind it:")
        write = f"auth {STRICT} pam_ukey.so"
    if any(table.cells[Password.WRONG, state].verdict is Verdict.IN for state in Ukey):
        text = _("anybody gets in: no line asks for a password or a ukey")
    else:
        text = _("the password alone lets in: pam_ukey.so is not in the stack")
    yield Finding(
        "no-ukey",
        Severity.OPEN,
        place,
        text,
        remedy,
        write,
    )


def _opening(
    table: Table,
    kind: str,
    text: str,
    password: Password,
    states: Sequence[Ukey],
    told: set[Flips],
) -> Iterator[Finding]:
    """One finding for each way in that is not meant. `told`: those that were named, and are."""
    ways: dict[Flips, list[Ukey]] = {}
    for state in states:
        for flips in table.cells[password, state].ways:
            ways.setdefault(flips, []).append(state)
    for flips, open_for in ways.items():
        if flips in told or (password is Password.RIGHT and _breaks_glass(table, flips)):
            continue
        told.add(flips)
        gate = password is Password.RIGHT and table.has(flips, Role.GATE)
        where = _("break-glass lets anybody in, not only its group's members") if gate else text
        ran = table.cells[password, open_for[0]].ways[flips]
        line, remedy, write = blame(table, ran, password)
        if len(states) > 1:
            listed = _(", ").join(_state(state) for state in open_for)
            where = _("{finding} (ukey: {states})").format(finding=where, states=listed)
        yield Finding(
            "break-glass-for-all" if gate else kind,
            Severity.OPEN,
            line.place,
            _in_case(table, flips, where),
            remedy,
            write,
        )


def _state(state: Ukey) -> str:
    return {
        Ukey.VERIFIED: _("verified"),
        Ukey.WRONG: _("wrong"),
        Ukey.ABSENT: _("absent"),
        Ukey.NOT_ENROLLED: _("not enrolled"),
        Ukey.BROKEN: _("broken"),
    }[state]


def _breaks_glass(table: Table, flips: Flips) -> bool:
    """The gate opened for a member of its group: what the examples say."""
    return table.has(flips, Role.GATE) and table.has(flips, Role.MEMBER)


def _not_enrolled(table: Table, told: set[Flips]) -> Iterator[Finding]:
    modules = {module.index: module.line for module in table.stack.modules()}
    for flips, ran in table.cells[Password.RIGHT, Ukey.NOT_ENROLLED].ways.items():
        if any(known <= flips for known in told) or _breaks_glass(table, flips):
            continue
        asked = [modules[index] for index in ran.trace if index in modules]
        line = next(filter(asks_for_ukey, reversed(asked)), _ukeys(table)[-1])
        meant = "nouserok" in ukey_options(line)
        yield Finding(
            "not-enrolled",
            Severity.NOTE if meant else Severity.OPEN,
            line.place,
            _in_case(table, flips, _("whoever has no ukey gets in by the password")),
            _("when everybody is enrolled (see 'ukey bindings'), write:"),
            without(line, "nouserok"),
        )


def _in_case(table: Table, flips: Flips, text: str) -> str:
    """`text`, with what has to be the case."""
    if not flips:
        return text
    conditions = _(", ").join(table.text(flips))
    return _("{finding}, in one case: {conditions}").format(finding=text, conditions=conditions)


def _ukeys(table: Table) -> list[Line]:
    """The lines that ask for the ukey, or else the decoys."""
    lines = [module.line for module in table.stack.modules() if is_ukey(module.line)]
    return [line for line in lines if not is_decoy(line)] or lines


# -- who does not get in


def _shut(table: Table) -> Iterator[Finding]:
    both = table.cells[Password.RIGHT, Ukey.VERIFIED]
    stack = table.stack
    if not table.lets_in:
        if stack.service != OTHER:
            yield Finding(
                "nobody",
                Severity.SHUT,
                _refusing(table),
                _("nobody at all gets in, not even with password and ukey"),
                _("use one of pam.d-examples; look at this line first"),
            )
        return
    ukeys = _ukeys(table)
    if ukeys and both.verdict is Verdict.OUT:
        yield Finding(
            "both-refused",
            Severity.SHUT,
            _refusing(table),
            _("whoever has password and ukey does not get in"),
            _("use one of pam.d-examples; look at this line first"),
        )
    ran = table.plain[Password.RIGHT, Ukey.VERIFIED]
    if ran.success and ran.setcred not in (0, 25):
        yield Finding(
            "credentials",
            Severity.SHUT,
            str(stack.file),
            _("the login succeeds, but pam_setcred fails: most programs then refuse"),
            _("end the stack with:"),
            "auth required pam_permit.so",
        )


def _refusing(table: Table) -> str:
    """Where somebody with both was refused first, or else where the run ended."""
    modules = {module.index: module.line for module in table.stack.modules()}
    ran = table.plain[Password.RIGHT, Ukey.VERIFIED]
    for index in ran.trace:
        line = modules[index]
        if line.fault or action(line.control, table.verified[index]) in ("bad", "die"):
            return line.place
    return _last(table, ran)


def _last(table: Table, ran: Ran) -> str:
    """Where a run ended."""
    places = {module.index: module.line.place for module in table.stack.modules()}
    return next(
        (places[index] for index in reversed(ran.trace) if index in places), str(table.stack.file)
    )


# -- lines that do nothing


def _never(table: Table) -> Iterator[Finding]:
    modules = {module.index: module for module in table.stack.modules()}
    blocked: dict[int, list[Line]] = {}
    for dead in table.never:
        if refuses_all(dead.line):
            continue  # where nobody comes to it, all is well
        blocked.setdefault(table.last[dead.index], []).append(dead.line)
    for index, lines in blocked.items():
        yield _never_runs(table, modules[index].line, lines, _("whatever modules return"))
    ran = table.cells[Password.RIGHT, Ukey.WRONG].ways.get(frozenset())
    if ran is None or not ran.trace:
        return
    last = modules[ran.trace[-1]]
    ahead = [module for module in modules.values() if module.index > last.index]
    lines = [each.line for each in ahead if asks_for_ukey(each.line) and each not in table.never]
    if lines and _is_done(last.line):
        yield _never_runs(table, last.line, lines, _("when the password is right"))


def _is_done(line: Line) -> bool:
    return action(line.control, "success") == "done"


def _never_runs(table: Table, blocker: Line, dead: Sequence[Line], when: str) -> Finding:
    if _is_done(blocker):
        text = _("a line after `sufficient` never runs, {when}: {lines}")
        remedy, line = cure(table, blocker)
    else:
        text = _("a line never runs, {when}: {lines}")
        remedy, line = _("change this line's control, or take the other out"), ""
    severity = Severity.NOTE
    if any(is_password(each) or is_ukey(each) for each in dead):
        severity = Severity.OPEN
    lines = [f"{each.place} ({each.module})" for each in dead[:_NAMED]]
    said = text.format(when=when, lines=", ".join(lines) + ", …" * (len(dead) > _NAMED))
    return Finding("never-runs", severity, blocker.place, said, remedy, line)


# -- what an attacker learns


def _tells(table: Table, *, opened: bool) -> Iterator[Finding]:
    """Whether a wrong password and a wrong ukey look alike from outside. `opened`: there is worse,
    so that what is meant is not told."""
    lines = _ukeys(table)
    states = (Ukey.WRONG, Ukey.ABSENT, Ukey.NOT_ENROLLED)
    right = [table.plain[Password.RIGHT, state] for state in states]
    wrong = [table.plain[Password.WRONG, state] for state in states]
    failed = [ran for ran in right if not ran.success]
    if not lines or not failed or any(ran.success for ran in wrong):
        return
    looks = {(ran.code, _asked(table, ran)) for ran in (*failed, *wrong)}
    if len(looks) == 1 and len(failed) == len(right):
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
        text = _("{finding}: whoever's password is wrong is not asked for the PIN as others are")
        remedy, write = _("a wrong password has to run on to the line:"), _DECOY
        place = _last(table, unasked[0])
    else:
        text = _("{finding}: codes differ")
        line = lines[-1]
        words = [word for word in ("uniform",) if word not in ukey_options(line)]
        remedy = _("write:")
        write = " ".join((without(line, "nouserok"), *words))
        place = line.place
    said = text.format(finding=_("the verdict tells which factor failed"))
    yield Finding("tells", Severity.TELLS, place, said, remedy, write)


def _asked(table: Table, ran: Ran) -> int:
    """How often somebody is asked for a PIN."""
    modules = {module.index: module.line for module in table.stack.modules()}
    return sum(is_ukey(modules[index]) for index in ran.trace if index in modules)


# -- what is worth knowing


def _untried(table: Table) -> Iterator[Finding]:
    if not table.complete:
        yield Finding(
            "not-all-tried",
            Severity.NOTE,
            str(table.stack.file),
            _("not every combination of what its modules can return was tried, they are so many"),
            _("take out the modules that are not needed"),
        )


def _takes_other(table: Table) -> Iterator[Finding]:
    if table.stack.fallen_back and table.stack.service != OTHER:
        yield Finding(
            "takes-other",
            Severity.NOTE,
            str(table.stack.file),
            _("it has no auth line: libpam takes those of '{other}'").format(other=OTHER),
            _("write auth lines of its own"),
        )


def _notes(table: Table) -> Iterator[Finding]:
    ukeys = _ukeys(table)
    if not ukeys:
        return
    both, without = (
        table.cells[Password.RIGHT, each] for each in (Ukey.VERIFIED, Ukey.NOT_ENROLLED)
    )
    if both.verdict is not Verdict.OUT and without.verdict is not Verdict.IN:
        remedy = _("enrol everybody first (see 'ukey bindings'), or begin with:")
        write = "auth [success=ok ignore=ignore default=die] pam_ukey.so nouserok"
        if any(map(is_uniform, ukeys)):  # which pam_ukey refuses beside nouserok
            remedy, write = _("enrol everybody first (see 'ukey bindings')"), ""
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
