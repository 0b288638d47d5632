# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A service, or all that let people in: its stack, its table, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..language import _, reason
from . import judge, lint, remedy, stack, table
from .finding import Finding, Severity
from .libpam import LibpamFailed, Unable
from .places import Places, Unreadable
from .programs import SETUID
from .stack import Stack, TooLong
from .table import Table, Who

#: Services that no login goes by: they run jobs, change passwords, show the greeter, or are root's
#: own. Those of an automatic login ask nobody; ``around`` sees where there is one.
_NO_LOGIN = frozenset(
    (
        "atd",
        "chage",
        "chfn",
        "chpasswd",
        "chsh",
        "cron",
        "crond",
        "gdm-autologin",
        "gdm-launch-environment",
        "groupadd",
        "groupdel",
        "groupmems",
        "groupmod",
        "lightdm-autologin",
        "lightdm-greeter",
        "newusers",
        "passwd",
        "postlogin",
        "ppp",
        "runuser",
        "runuser-l",
        "sddm-autologin",
        "sddm-greeter",
        "systemd-user",
        "useradd",
        "userdel",
        "usermod",
    )
)
#: Files that others include.
_PARTS = ("common-", "system-", "base-", "password-auth", "fingerprint-auth", "smartcard-auth")
#: What package managers and editors leave beside a file.
_LEFT = ("~", ".bak", ".orig", ".rpmnew", ".rpmsave", ".rpmorig", ".pam-old", ".swp")


@dataclass
class Checked:
    """What is known about one service."""

    service: str
    file: Path
    table: Table | None = None  #: None: it could not be made, and a finding says why
    findings: list[Finding] = field(default_factory=list)
    unread: Unreadable | None = None  #: why it could not be read
    login: bool = True  #: people log in by it

    @property
    def who(self) -> Who | None:
        """Who gets in, in a word; None: not known. It is no good one where something is open."""
        if self.table is None:
            return None
        opened = any(finding.severity is Severity.OPEN for finding in self.findings)
        if opened and self.table.who in (Who.BOTH, Who.ENROLLED):
            return Who.DEPENDS
        return self.table.who


def check(
    places: Places, service: str, file: Path, *, installed: bool, beside: Path | None = None
) -> Checked:
    """Judge `file` as the stack of `service`. `installed`: it is the host's own.

    Raises :class:`tools.pamcheck.libpam.Unable`.
    """
    checked = Checked(service, file)
    try:
        read = stack.load(places, service, file, beside=beside)
        checked.findings += lint.findings(read, places, installed=installed)
        checked.findings += _in_capitals(file)
        _evaluate(checked, read, places, installed=installed)
    except Unreadable as error:
        checked.unread = error
        checked.findings.append(_unread(error))
    except TooLong:
        text = _("more lines than are evaluated: nothing is known about who gets in")
        checked.findings.append(_unknown("too-long", file, text))
    order = list(Severity)
    checked.findings.sort(key=lambda finding: order.index(finding.severity))
    return checked


def _evaluate(checked: Checked, read: Stack, places: Places, *, installed: bool) -> None:
    try:
        made = table.evaluate(read, places if installed else None)
    except Unable:
        raise
    except LibpamFailed as error:
        text = _("libpam could not be asked ({reason}): nothing is known about who gets in")
        checked.findings.append(_unknown("not-evaluated", checked.file, text.format(reason=error)))
        return
    checked.table = made
    checked.findings = [remedy.proven(made, finding) for finding in checked.findings]
    checked.findings += judge.findings(made)


def _in_capitals(file: Path) -> Iterator[Finding]:
    """A name that libpam never looks for. Where it stands does not matter to whoever copies it."""
    if file.name != file.name.lower():
        text = _("libpam looks for services in lower case: it never reads a file of this name")
        cure = _("name it {name}").format(name=file.name.lower())
        yield Finding("never-read", Severity.NOTE, str(file), text, cure)


def _unread(error: Unreadable) -> Finding:
    text = _("it cannot be read ({reason}): nothing is known about who gets in")
    cure = _("run this as root") if error.forbidden else _("name a file that is there")
    said = text.format(reason=reason(error))
    return Finding("unreadable", Severity.NOTE, str(error.path), said, cure)


def _unknown(kind: str, file: Path, text: str) -> Finding:
    return Finding(kind, Severity.OPEN, str(file), text, _("use one of pam.d-examples"))


def logins(places: Places) -> Iterator[tuple[str, Path]]:
    """The services that let people in: all but those that are known not to."""
    for name, path in places.services():
        # libpam looks for names in lower case only.
        left = name.endswith(_LEFT) or ".dpkg-" in name or name[:1] == "." or name != name.lower()
        if not left and name not in _NO_LOGIN and not name.startswith(_PARTS):
            yield name, path


def others(places: Places) -> Iterator[tuple[str, Path]]:
    """The services that no login goes by, but that setuid programs ask."""
    chosen = dict(logins(places))
    for name, path in places.services():
        if name not in chosen and name in SETUID and not name.startswith(_PARTS):
            yield name, path


def interpreters(places: Places, service: str, file: Path) -> list[Finding]:
    """What matters of a service that no login goes by."""
    try:
        read = stack.load(places, service, file)
    except (Unreadable, TooLong):
        return []
    found = lint.findings(read, places, installed=True)
    return [finding for finding in found if finding.kind == "interpreter-in-setuid"]
