# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The report on checked stacks, for people and for programs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from keyservice.contract.i18n import Language

from .. import output
from ..language import _, language, ngettext
from ..output import Cell as Printed
from ..output import Colour, Value
from .check import Checked
from .finding import Finding, Severity
from .modules import is_ukey
from .table import Cell, Flips, Table, Verdict, Who
from .world import Password, Ukey

_COLOURS = {
    Severity.OPEN: Colour.ALARM,
    Severity.SHUT: Colour.ALARM,
    Severity.TELLS: Colour.WARNING,
    Severity.NOTE: Colour.NONE,
}


def severity(value: Severity) -> str:
    return {
        Severity.OPEN: _("OPEN"),
        Severity.SHUT: _("SHUT"),
        Severity.TELLS: _("TELLS"),
        Severity.NOTE: _("note"),
    }[value]


# -- one stack


def show(checked: Checked) -> None:
    """The table of one service, and what is wrong with it."""
    title = f"{checked.service} ({checked.file})"
    print(output.paint(output.printable(title), Colour.BOLD))
    if checked.table is not None:
        print()
        _show_table(checked.table)
    show_findings(checked.findings)


def _show_table(table: Table) -> None:
    notes: dict[tuple[Flips, ...], int] = {}
    rows: list[list[Printed]] = []
    for password, name in ((Password.RIGHT, _("right")), (Password.WRONG, _("wrong"))):
        row: list[Printed] = [name]
        for ukey in Ukey:
            cell = table.cells[password, ukey]
            meant = (password, ukey) == (Password.RIGHT, Ukey.VERIFIED)
            if cell.verdict is Verdict.IN:
                row.append((_("in"), Colour.GOOD if meant else Colour.ALARM))
            elif cell.verdict is Verdict.OUT:
                row.append((_("out"), Colour.ALARM if meant else Colour.NONE))
            elif cell.verdict is Verdict.NOT_KNOWN:
                row.append((_("not known"), Colour.WARNING))
            else:
                number = notes.setdefault(_on(cell), len(notes) + 1)
                row.append((_("depends [{number}]").format(number=number), Colour.WARNING))
        rows.append(row)
    output.table([_("PASSWORD"), *_heads()], rows)
    lines = []
    for ways, number in notes.items():
        said = _("; or ").join(_(", ").join(table.text(flips)) for flips in ways)
        lines.append(f"[{number}] " + _("in: {conditions}").format(conditions=said))
    if table.root_passes:
        lines.append(_("Root is asked for nothing (pam_rootok.so)."))
    if table.refusing:
        said = _("; or ").join(table.variables[key].text(value) for key, value in table.refusing)
        lines.append(_("Out even with both: {conditions}").format(conditions=said))
    for line in lines:
        _paragraph(line, "", "    ")


def _on(cell: Cell) -> tuple[Flips, ...]:
    """The conditions on which a cell depends."""
    return tuple(flips or cell.provided for flips in cell.ways)


def _heads() -> list[str]:
    return [
        _("UKEY VERIFIED"),
        _("WRONG"),
        _("ABSENT"),
        _("NOT ENROLLED"),
        _("BROKEN"),
    ]


def show_findings(
    findings: Iterable[Finding], services: Mapping[Finding, Sequence[str]] | None = None
) -> None:
    """Each finding, as a block: how bad and where, what, what to do."""
    for finding in findings:
        print()
        head = output.paint(severity(finding.severity), _COLOURS[finding.severity])
        print(f"{head}  {output.printable(finding.place)}")
        _paragraph(_sentence(finding.text), "  ", "  ")
        if services:
            listed = ", ".join(services[finding])
            _paragraph(_("Services: {services}").format(services=listed), "  ", "    ")
        if finding.remedy:
            _paragraph("→ " + finding.remedy, "  ", "    ")
        if finding.line:
            print(f"    {output.printable(finding.line)}")


def _sentence(text: str) -> str:
    first = text.split(" ", 1)[0]
    if language() is Language.ENGLISH and first.isalpha():  # no name of a module or of a file
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "。")) else _("{sentence}.").format(sentence=text)


def _paragraph(text: str, first: str, rest: str) -> None:
    columns = min(output.columns_of(sys.stdout), output.PROSE_MAX)
    lines = output.wrap(output.printable(text), columns - len(rest))
    print(textwrap.indent("\n".join(lines), rest).replace(rest, first, 1))


# -- all of them


def show_all(checked: Sequence[Checked], around: Sequence[Finding]) -> None:
    """A line for each service, then each finding once."""
    heads = [_("SERVICE"), _("WHO GETS IN"), _("FINDINGS")]
    output.table(heads, [[one.service, who(one), _counted(one.findings)] for one in checked])
    services: dict[Finding, list[str]] = {}
    for one in checked:
        for finding in one.findings:
            services.setdefault(finding, []).append(one.service)
    order = list(Severity)
    show_findings(sorted(services, key=lambda finding: order.index(finding.severity)), services)
    show_around(around)


def show_around(around: Sequence[Finding]) -> None:
    if around:
        print()
        print(output.paint(_("Ways around PAM"), Colour.BOLD))
        order = list(Severity)
        show_findings(sorted(around, key=lambda finding: order.index(finding.severity)))


def who(checked: Checked) -> Printed:
    """Who gets in by a service, in a few words."""
    table = checked.table
    if table is None or checked.who is None:
        return (_("not known"), Colour.ALARM) if checked.login else _("it is no login")
    ukey = any(is_ukey(module.line) for module in table.stack.modules())
    password = _("the password alone") if ukey else _("the password alone: no ukey is asked for")
    return {
        Who.ANYBODY: (_("anybody"), Colour.ALARM),
        Who.PASSWORD: (password, Colour.ALARM),
        Who.UKEY: (_("the ukey alone"), Colour.ALARM),
        Who.BOTH: (_("password and ukey"), Colour.GOOD),
        Who.ENROLLED: (_("password and ukey; without a ukey, the password"), Colour.WARNING),
        Who.DEPENDS: (_("depends"), Colour.WARNING),
        Who.NOBODY: (_("nobody"), Colour.NONE),
    }[checked.who]


def _counted(findings: Sequence[Finding]) -> str:
    counts = {each: sum(f.severity is each for f in findings) for each in Severity}
    return _(", ").join(f"{count} {severity(each)}" for each, count in counts.items() if count)


# -- for programs


def document(checked: Sequence[Checked], around: Sequence[Finding] | None) -> dict[str, Value]:
    """The object that ``--json`` prints, without the keys that every command has."""
    return {
        "services": [_service(one) for one in checked],
        "around": None if around is None else [_finding(finding) for finding in around],
    }


def _service(checked: Checked) -> Value:
    table = checked.table
    return {
        "service": checked.service,
        "file": str(checked.file),
        "who": None if checked.who is None else checked.who.value,
        "table": None if table is None else _cells(table),
        "root_passes": None if table is None else table.root_passes,
        "findings": [_finding(finding) for finding in checked.findings],
    }


def _cells(table: Table) -> Value:
    return {
        password.value: {
            ukey.value: {
                "verdict": table.cells[password, ukey].verdict.value,
                "on": [table.text(flips) for flips in _on(table.cells[password, ukey]) if flips],
            }
            for ukey in Ukey
        }
        for password in Password
    }


def _finding(finding: Finding) -> Value:
    return {
        "kind": finding.kind,
        "severity": finding.severity.value,
        "place": finding.place,
        "text": finding.text,
        "remedy": finding.remedy,
        "line": finding.line,
    }


def summary(findings: Iterable[Finding]) -> str:
    """The worst of them, in a sentence."""
    found = list(findings)
    count = sum(finding.severity is not Severity.NOTE for finding in found)
    return ngettext("{count} finding to mend.", "{count} findings to mend.", count).format(
        count=count
    )
