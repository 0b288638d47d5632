# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A service, or all services that let people in: its stack, its table, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.contract.names import CONFIG_FILE

from ..language import _, reason
from . import afar, evaluation, judge, lint, remedy, ssh_key, stack
from .finding import Finding, Severity
from .libpam import LibpamFailed, Unable
from .places import Places
from .programs import SETUID
from .reading import Unreadable
from .stack import Stack, TooLong
from .table import Table, Who
from .world import AFAR, PLACE

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
        """Who gets in, in a word; None: not known. It says nothing good where something is open."""
        if self.table is None:
            return None
        opened = any(finding.severity is Severity.OPEN for finding in self.findings)
        if opened and self.table.who in (Who.BOTH, Who.ENROLLED):
            return Who.DEPENDS
        if not self.table.complete and not opened:
            return None
        return self.table.who


def check(
    places: Places, service: str, file: Path, *, installed: bool, beside: Path | None = None
) -> Checked:
    """Judge `file` as the stack of `service`. `installed`: it is the host's own.

    Raises :class:`tools.pamcheck.libpam.Unable`.
    """
    checked = Checked(service, file)
    if installed and file.parent in places.passed_by:
        return _passed_by(checked, places)
    try:
        read = stack.load(places, service, file, beside=beside)
        checked.findings += lint.findings(read, places, installed=installed)
        checked.findings += _in_capitals(file)
        if installed:
            checked.findings += ssh_key.findings(read, places)
        if not read.undefined:  # which a finding says
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


def _passed_by(checked: Checked, places: Places) -> Checked:
    """A service that stands only where libpam does not look: "other" is what people meet."""
    file, other = checked.file, places.find(stack.OTHER)
    text = _("this libpam does not read {folder}: '{other}' counts in place of this file")
    if not places.surely:
        text = _("whether libpam reads {folder} is not known, nor is who gets in")
        other = None
    elif other is not None:
        checked = check(places, checked.service, other, installed=True)
    else:
        text = _("this libpam does not read {folder}, and there is no '{other}': nobody gets in")
    checked.findings.insert(
        0,
        Finding(
            "never-read",
            Severity.NOTE if other is not None else Severity.SHUT,
            str(file),
            text.format(folder=file.parent, other=stack.OTHER),
            _("move it to {folder}").format(folder=places.folders[0]),
        ),
    )
    return checked


def _evaluate(checked: Checked, read: Stack, places: Places, *, installed: bool) -> None:
    try:
        place = afar.place(places, checked.service, installed=installed)
        made = evaluation.evaluate(read, places if installed else None, place)
        judged = judge.findings(made)
    except Unable:
        raise
    except LibpamFailed as error:
        text = _("libpam could not be asked ({reason}): nothing is known about who gets in")
        checked.findings.append(_unknown("not-evaluated", checked.file, text.format(reason=error)))
        return
    checked.table = made
    checked.findings += _from_afar(made, places)
    checked.findings = [remedy.proven(made, finding) for finding in checked.findings]
    checked.findings += judged


def _from_afar(made: Table, places: Places) -> Iterator[Finding]:
    """The finding that the keyservice refuses people for where they are, if that makes a
    difference."""
    provided = {key for cell in made.cells.values() for key, _value in cell.provided}
    if made.place is None or not (made.only_place or PLACE in provided):
        return
    service = made.stack.service
    found = afar.afar(places, service)
    refused = found is afar.Afar.REFUSED
    shut = made.place.values == (AFAR,) or not refused
    text = _("the keyservice refuses people who come from afar by {service}")
    if not refused:
        text = _("{file} is not understood: whether {service} lets in from afar is not known")
    cure = _(
        "where they may, with a ukey that is in this machine, write below [services.{service}]:"
    )
    yield Finding(
        "from-afar",
        Severity.SHUT if shut else Severity.NOTE,
        CONFIG_FILE,
        text.format(service=service, file=CONFIG_FILE),
        cure.format(service=service) if refused else _("mend it, or run this as root"),
        'factors_from_afar = ["ukey"]' if refused else "",
    )


def _in_capitals(file: Path) -> Iterator[Finding]:
    """A name that libpam never looks for. Its place does not matter to a person who copies it."""
    if file.name != file.name.lower():
        text = _("libpam looks for services in lower case: it never reads a file of this name")
        cure = _("name it {name}").format(name=file.name.lower())
        yield Finding("never-read", Severity.NOTE, str(file), text, cure)


def _unread(error: Unreadable) -> Finding:
    text = _("it cannot be read ({reason}): nothing is known about who gets in")
    cure = _("run this as root") if error.forbidden else _("name a file that is there")
    said = text.format(reason=reason(error.number))
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
    """The findings that matter for a service that no login goes by."""
    try:
        read = stack.load(places, service, file)
    except (Unreadable, TooLong):
        return []
    found = lint.findings(read, places, installed=True)
    return [finding for finding in found if finding.kind == "interpreter-in-setuid"]
