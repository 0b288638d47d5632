# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong with a table, in words, and which line to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..language import _
from .controls import action
from .edits import ended
from .finding import Finding, Severity
from .known import LOCALS
from .lines import Line
from .modules import asks_for_ukey, is_password, is_ukey, ukey_options
from .remedy import STRICT, blame, cure, refuses_all, tried, without, written
from .stack import OTHER
from .succeed_if import BREAKGLASS
from .table import Flips, Table, Verdict
from .telling import ended_at, notes, takes_other, tells, ukeys_of, untried
from .world import PERSON, REGULAR, Password, Role, Ukey

#: How many lines a finding names.
_NAMED = 3


def findings(table: Table) -> list[Finding]:
    """The findings that the table shows, the worst first."""
    found = [*untried(table), *takes_other(table), *_openings(table), *_order(table)]
    found += _shut(table)
    if table.lets_in:
        found += _never(table)
        found += tells(table, opened=any(each.severity is Severity.OPEN for each in found))
        found += notes(table)
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
    added = f"auth {STRICT} pam_ukey.so"
    failing = [(key, flips) for key, cell in table.cells.items() for flips in cell.ways]
    shut = [way for way in failing if way[0] != (Password.RIGHT, Ukey.VERIFIED)]
    if len(passwords) == 1 and written(table, passwords[0], [str(passwords[0]), added], shut):
        remedy, write = _("use one of pam.d-examples, or add behind it:"), added
    swallowed = [line for line in table.stack.lines if any(map(_names_ukey, line.args))]
    if any(table.cells[Password.WRONG, state].usual for state in Ukey):
        text = _("anybody gets in: no line asks for a password or a ukey")
    elif not swallowed:
        text = _("the password alone lets in: pam_ukey.so is not in the stack")
    else:
        place, write = swallowed[0].place, ""
        text = _("the password alone lets in: pam_ukey.so is only a word of this line")
        remedy = _("give it a line of its own: no backslash at the end of the one before")
    yield Finding(
        "no-ukey",
        Severity.OPEN,
        place,
        text,
        remedy,
        write,
    )


def _names_ukey(word: str) -> bool:
    return word.rsplit("/", 1)[-1] == "pam_ukey.so"


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
        shut = [((password, state), flips) for state in open_for]
        line, (remedy, write) = blame(table, ran, password, shut)
        if gate:
            remedy, write = _("write both lines of the examples: the group's, then the gate's"), ""
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
    """Whether the gate opened for a member of its group, as the examples mean it."""
    return table.has(flips, Role.GATE) and (BREAKGLASS, "yes") in flips


def _not_enrolled(table: Table, told: set[Flips]) -> Iterator[Finding]:
    modules = {module.index: module.line for module in table.stack.modules()}
    for flips, ran in table.cells[Password.RIGHT, Ukey.NOT_ENROLLED].ways.items():
        if any(known <= flips for known in told) or _breaks_glass(table, flips):
            continue
        asked = [modules[index] for index in ran.trace if index in modules]
        line = next(filter(asks_for_ukey, reversed(asked)), ukeys_of(table)[-1])
        meant = "nouserok" in ukey_options(line)
        strict = without(line, "nouserok")
        remedy = _("when everybody is enrolled (see 'ukey bindings --missing'), write:")
        if not written(table, line, [strict], [((Password.RIGHT, Ukey.NOT_ENROLLED), flips)]):
            remedy, strict = _("use one of pam.d-examples"), ""
        yield Finding(
            "not-enrolled",
            Severity.NOTE if meant else Severity.OPEN,
            line.place,
            _in_case(table, flips, _("people without a ukey get in by the password")),
            remedy,
            strict,
        )


def _in_case(table: Table, flips: Flips, text: str) -> str:
    """`text`, with what has to be the case."""
    if not flips:
        return text
    conditions = _(", ").join(table.text(flips))
    return _("{finding}, in one case: {conditions}").format(finding=text, conditions=conditions)


# -- in which order


def _order(table: Table) -> Iterator[Finding]:
    """Some programs answer every hidden prompt with the password. pam_ukey can tell it from a PIN
    only if a line before it has asked for the password."""
    if table.asked_first is None:
        return
    ukey, password = (module.line for module in table.asked_first)
    text = _(
        "the ukey's line comes before the password's: programs that answer every prompt with the "
        "password send it to the ukey as a PIN, and three tries are gone"
    )
    cure = _("put it behind the password's line, {place}")
    place = cure.format(place=password.place)
    yield Finding("ukey-before-password", Severity.SHUT, ukey.place, text, place)


# -- who does not get in


def _shut(table: Table) -> Iterator[Finding]:
    both = table.cells[Password.RIGHT, Ukey.VERIFIED]
    stack = table.stack
    if table.only_place:
        return  # which a finding says
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
    ukeys = ukeys_of(table)
    if ukeys and (both.verdict is Verdict.OUT or _only_others(table)):
        yield Finding(
            "both-refused",
            Severity.SHUT,
            _refusing(table),
            _("people with password and ukey do not get in")
            if both.verdict is Verdict.OUT
            else _("people with an account of this host, password and ukey do not get in"),
            _("use one of pam.d-examples; look at this line first"),
        )
    ran = table.plain[Password.RIGHT, Ukey.VERIFIED]
    if ran.success and ran.setcred not in (0, 25):
        remedy, last = _("end the stack with:"), "auth required pam_permit.so"
        after = tried(table, ended(stack, last))
        if after is None or after.plain[Password.RIGHT, Ukey.VERIFIED].setcred not in (0, 25):
            remedy, last = _("use one of pam.d-examples"), ""
        yield Finding(
            "credentials",
            Severity.SHUT,
            str(stack.file),
            _("the login succeeds, but pam_setcred fails: most programs then refuse"),
            remedy,
            last,
        )


def _only_others(table: Table) -> bool:
    """Only people of a directory get in, though passwords of this host are asked for."""
    modules = table.stack.modules()
    if REGULAR in table.admitted or not any(module.line.name in LOCALS for module in modules):
        return False
    ways = table.cells[Password.RIGHT, Ukey.VERIFIED].ways
    return all(any(key == PERSON for key, _value in flips) for flips in ways)


def _refusing(table: Table) -> str:
    """The line at which somebody with both was refused first, or else at which the run ended."""
    modules = {module.index: module.line for module in table.stack.modules()}
    ran = table.plain[Password.RIGHT, Ukey.VERIFIED]
    for index in ran.trace:
        line = modules[index]
        if line.fault or action(line.control, table.verified[index]) in ("bad", "die"):
            return line.place
    return ended_at(table, ran)


# -- lines that do nothing


def _never(table: Table) -> Iterator[Finding]:
    modules = {module.index: module for module in table.stack.modules()}
    blocked: dict[int, list[Line]] = {}
    for dead in table.never.modules:
        if refuses_all(dead.line):
            continue  # if nobody reaches it, all is well
        blocked.setdefault(table.never.last[dead.index], []).append(dead.line)
    for index, lines in blocked.items():
        yield _never_runs(table, modules[index].line, lines, when_right=False)
    ran = table.cells[Password.RIGHT, Ukey.WRONG].ways.get(frozenset())
    if ran is None or not ran.trace:
        return
    last = modules[ran.trace[-1]]
    ahead = [module for module in modules.values() if module.index > last.index]
    never = table.never.modules
    lines = [each.line for each in ahead if asks_for_ukey(each.line) and each not in never]
    if lines and _is_done(last.line):
        yield _never_runs(table, last.line, lines, when_right=True)


def _is_done(line: Line) -> bool:
    return action(line.control, "success") == "done"


def _never_runs(table: Table, blocker: Line, dead: Sequence[Line], *, when_right: bool) -> Finding:
    when = _("when the password is right") if when_right else _("whatever modules return")
    if _is_done(blocker):
        text = _("a line after `sufficient` never runs, {when}: {lines}")
        shut = [((Password.RIGHT, Ukey.WRONG), frozenset[tuple[str, str]]())]
        remedy, line = cure(table, blocker, shut if when_right else ())
    else:
        text = _("a line never runs, {when}: {lines}")
        remedy, line = _("change this line's control, or take the other out"), ""
    severity = Severity.NOTE
    if any(is_password(each) or is_ukey(each) for each in dead):
        severity = Severity.OPEN
        if not _is_done(blocker):
            remedy = _("change this line's control, or use one of pam.d-examples")
    lines = [f"{each.place} ({each.module})" for each in dead[:_NAMED]]
    said = text.format(when=when, lines=", ".join(lines) + ", …" * (len(dead) > _NAMED))
    return Finding("never-runs", severity, blocker.place, said, remedy, line)
