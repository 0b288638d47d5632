# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who would get in after a change, as ``pamcheck`` has it, and what forbids the change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tools.language import _
from tools.pamcheck import check
from tools.pamcheck.around import ways
from tools.pamcheck.check import Checked
from tools.pamcheck.finding import Finding, Severity
from tools.pamcheck.places import Places
from tools.pamcheck.reading import Unreadable
from tools.pamcheck.stack import TooLong, load
from tools.pamcheck.world import Password, Ukey

from .files import Change

_BOTH = (Password.RIGHT, Ukey.VERIFIED)
#: Of ``pamcheck``: others than root can write a file that decides.
_WRITABLE = "file-writable"


def reached(places: Places, changes: Sequence[Change]) -> dict[str, Path]:
    """The services whose stack reads one of the files: their own, and those that include it."""
    files = {change.file for change in changes}
    found = {change.file.name: change.file for change in changes if _is_service(change.file.name)}
    for service, path in check.logins(places):
        with suppress(Unreadable, TooLong):
            if files & set(load(places, service, path).files):
                found.setdefault(service, path)
    return found


def _is_service(name: str) -> bool:
    return not name.startswith("common-")


def by_sshd(services: Collection[str]) -> list[Finding]:
    """What sshd's own configuration, if it is one of `services`, does whatever its stack says.

    Debian's, where nobody has changed it, forbids the change (SHUT): its PasswordAuthentication
    answers each prompt of PAM with the password. Others let people in without PAM (OPEN).
    """
    return ways(only={"ssh"}) if "sshd" in services else []


class Judge:
    """The stacks before the change, and as they would be in `folder`."""

    def __init__(self, places: Places, services: dict[str, Path], folder: Path) -> None:
        self._places, self._services, self._folder = places, services, folder
        self.by_password: list[str] = []  #: the services that the password alone opens afterwards

    def enabling(self, named: Collection[str]) -> list[tuple[str, Finding]]:
        """What forbids it. Of services that only include what is changed, not what was so before.

        Raises :class:`tools.pamcheck.libpam.Unable`.
        """
        found: list[tuple[str, Finding]] = []
        told: set[str] = set()
        for service, path in self._services.items():
            after = self._after(service, path)
            before = list(_grave(check.check(self._places, service, path, installed=True)))
            known = set() if service in named else {each.kind for each in before}
            grave = [each for each in _grave(after) if each.kind not in known]
            # The copy is root's; the file that is changed keeps its owner and mode.
            others = [each for each in before if each.kind == _WRITABLE and each.place not in told]
            told |= {each.place for each in others}
            grave += [each for each in others if each not in grave]
            if not grave and service in named and not _both(after):
                grave = [_unsure(after)]
            found += [(service, each) for each in grave]
        return found

    def disabling(self) -> list[tuple[str, Finding]]:
        """What forbids it: that the password alone lets in then, is meant; that nobody needs even
        that, or that nobody gets in, is not. Raises as :meth:`enabling`."""
        found: list[tuple[str, Finding]] = []
        for service, path in self._services.items():
            after = self._after(service, path)
            table = after.table
            if table is not None and table.cells[_WITHOUT].ways:
                self.by_password.append(service)
            if table is None or not table.complete:
                found.append((service, _unsure(after)))
            elif not table.cells[_BOTH].usual and not table.cells[_BOTH].provided:
                text = _("nobody gets in then")
                found.append((service, Finding("nobody", Severity.SHUT, service, text, "")))
            elif any(cell.ways for (word, _u), cell in table.cells.items() if word is _WRONG):
                text = _("not even a password is needed then")
                found.append((service, Finding("anybody", Severity.OPEN, service, text, "")))
        return found

    def _after(self, service: str, path: Path) -> Checked:
        own = self._folder / path.name
        file = own if own.exists() else path
        made = check.check(self._places, service, file, installed=True, beside=self._folder)
        where, there = f"{self._folder}/", f"{self._places.folders[0]}/"
        made.findings = [
            replace(
                each,
                place=each.place.replace(where, there),
                text=each.text.replace(where, there),
                remedy=each.remedy.replace(where, there),
            )
            for each in made.findings
        ]
        return made


_WRONG = Password.WRONG
#: An enrolled person with the password, and without the ukey.
_WITHOUT = (Password.RIGHT, Ukey.ABSENT)


def _grave(checked: Checked) -> Iterator[Finding]:
    for finding in checked.findings:
        if finding.severity in (Severity.OPEN, Severity.SHUT):
            yield finding


def _both(checked: Checked) -> bool:
    """Whether it is known that people with both get in, and nobody else does in the usual case."""
    table = checked.table
    if table is None or not table.complete:
        return False
    others = (Ukey.WRONG, Ukey.ABSENT, Ukey.BROKEN)
    return (table.cells[_BOTH].usual or bool(table.cells[_BOTH].provided)) and not any(
        cell.usual
        for (password, ukey), cell in table.cells.items()
        if password is _WRONG or ukey in others
    )


def _unsure(checked: Checked) -> Finding:
    text = _("it is not known who would get in")
    return Finding("not-known", Severity.OPEN, str(checked.file), text, "")
