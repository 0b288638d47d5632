# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam check``: who gets in by a PAM stack, as libpam says, and what is wrong with it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from keyservice.core.closing import Closing
from tools import output
from tools.command import Failure
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.pamcheck import around, check, report
from tools.pamcheck.check import Checked
from tools.pamcheck.finding import Finding, Severity
from tools.pamcheck.libpam import Unable
from tools.pamcheck.places import Places
from tools.pamcheck.reading import Unreadable
from tools.parser import Parser, name

MANUAL = Manual(
    section=8,
    summary=N_("Tell who gets in by a PAM stack, and what is wrong with it."),
    about=N_(
        "libpam itself runs a private copy of the stack, with every module replaced by one that "
        "returns each of what the real one can: the password right or wrong; the ukey verified, "
        "wrong, absent, not enrolled or broken; and whatever else modules look at. Nobody is "
        "logged in, no module of the stack is loaded, nothing is changed.\n\n"
        "Without an argument, all services that let people in are checked, and the ways in that "
        "never ask PAM are looked for: public keys, NOPASSWD, autologin and the like.\n\n"
        "Findings are OPEN (somebody gets in without both factors), SHUT (somebody with both does "
        "not), TELLS (an attacker learns something) or a note. The exit status is 13 where one of "
        "them is more than a note, and else 4 where something could not be looked at, or is not "
        "known."
    ),
    examples=(
        ("ukey pam check", N_("this host, as a whole")),
        ("ukey pam check sshd su", N_("two services")),
        ("ukey pam check pam.d-examples/debian/helpful/login", N_("a file, before it is copied")),
        ("ukey pam check --root /srv/image --stacks-only --json", N_("an image, for a program")),
    ),
    json_keys=(
        ("services", N_("of each: service, file, who, table, root_passes, findings")),
        ("table", N_("by password and ukey: verdict (in, out, depends, not known), and on what")),
        ("findings", N_("each with kind, severity, place, text, remedy, and the line to write")),
        ("around", N_("findings about ways around PAM; null where they were not looked for")),
    ),
    files=(("/etc/pam.d", N_("the stacks; then /usr/lib/pam.d and /usr/etc/pam.d")),),
    see=("ukey pam try", "ukey status", "pam_ukey(8)"),
    usage=("ukey pam check [OPTION]... [FILE|SERVICE]...",),
)

#: The ways around that belong to a service that is asked for by name.
_AROUND = {
    "sshd": ("ssh",),
    "su": ("su",),
    "su-l": ("su",),
    "sudo": ("sudo",),
    "sudo-i": ("sudo",),
    "doas": ("doas",),
    "polkit-1": ("polkit",),
    "login": ("getty",),
    **dict.fromkeys(
        ("gdm-password", "gdm", "lightdm", "lightdm-greeter", "sddm", "lxdm", "xdm"),
        ("display managers",),
    ),
}


def parser() -> Parser:
    out = Parser("ukey pam check", MANUAL)
    out.add_argument(
        "stacks",
        metavar="FILE|SERVICE",
        nargs="*",
        type=name,
        help=_("a stack's file, with a / in it, or the name of a service; none: this host"),
    )
    out.add_argument(
        "--root",
        metavar="DIR",
        type=name,
        default="/",
        help=_(
            "look at the host or image whose files are below DIR; without --stacks-only, root runs "
            "its sshd and cvtsudoers there"
        ),
    )
    out.add_argument("--stacks-only", action="store_true", help=_("leave the ways around PAM out"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    places = Places(Path(given.root))
    try:
        checked = [_one(places, word) for word in given.stacks] or _all(places)
    except Unable:
        raise Failure(
            _("This libpam cannot be asked: it is older than 1.4, or has no pam_debug.so."),
            Exit.FAILED,
            hint=_("It comes with libpam-modules on Debian, with pam on Red Hat's family."),
        ) from None
    except OSError as error:
        text = _("libpam cannot be asked: {reason}.")
        raise Failure(text.format(reason=reason(error)), Exit.FAILED) from None
    found = _around(places, given.stacks, skip=given.stacks_only)
    return _told(checked, found, whole=not given.stacks, json=given.json)


def _one(places: Places, word: str) -> Checked:
    """The service of that name, or the file."""
    if "/" not in word:
        service = word.lower()  # as libpam has it
        path = places.find(service) or places.unread(service)
        if path is not None:
            return check.check(places, service, path, installed=True)
        if not Path(word).is_file():
            raise Failure(
                _("There is no service '{name}'.").format(name=word),
                Exit.USAGE,
                hint=_("Its file would be {file}.").format(file=places.folders[0] / service),
            )
    path = Path(word)
    if not os.path.lexists(path):
        raise Failure(_("There is no file {name}.").format(name=word), Exit.USAGE)
    service = path.name
    folders = (*places.folders, *places.passed_by)
    for folder in folders if service == service.lower() else ():
        if path.parent.resolve() == folder.resolve():
            return check.check(places, service, path, installed=True)
    return check.check(places, service, path, installed=False, beside=path.parent)


def _all(places: Places) -> list[Checked]:
    try:
        services = list(check.logins(places))
        others = list(check.others(places))
    except Unreadable as error:
        raise Failure(
            _("{folder} cannot be read: {reason}.").format(
                folder=error.path, reason=reason(error.number)
            ),
            Exit.NOT_ALLOWED,
            hint=_("Run it again with sudo, or in a root shell."),
        ) from None
    if not services:
        raise Failure(
            _("There are no services in {folder}.").format(folder=places.folders[0]), Exit.USAGE
        )
    checked = []
    with _Progress(len(services)) as progress:
        for service, path in services:
            progress.next(service)
            checked.append(check.check(places, service, path, installed=True))
    for service, path in others:
        found = check.interpreters(places, service, path)
        if found:
            checked.append(Checked(service, path, findings=found, login=False))
    return checked


def _around(places: Places, stacks: Sequence[str], *, skip: bool) -> list[Finding] | None:
    """The ways around PAM: all of them, or those of the services that are named."""
    if skip:
        return None
    if not stacks:
        return around.ways(places.root)
    names = {name for word in stacks for name in _AROUND.get(word.lower(), ())}
    return around.ways(places.root, names) if names else None


def _told(checked: list[Checked], found: list[Finding] | None, *, whole: bool, json: bool) -> Exit:
    document = report.document(checked, found)
    if not json:
        if whole:
            report.show_all(checked, found or ())
        else:
            for number, one in enumerate(checked):
                print("\n" * (number > 0), end="")
                report.show(one)
            report.show_around(found or ())
    # One that several services share counts once.
    findings = list(dict.fromkeys((*(f for one in checked for f in one.findings), *(found or ()))))
    if any(finding.severity is not Severity.NOTE for finding in findings):
        raise Failure(report.summary(findings), Exit.STACK, facts=document)
    unread = [str(one.file) for one in checked if one.unread is not None]
    unseen = [each.place for each in found or () if each.kind == "not-looked-at"]
    if unread or unseen:
        forbidden = any(one.unread and one.unread.forbidden for one in checked)
        forbidden = forbidden or (bool(unseen) and os.geteuid() != 0)
        unread = list(dict.fromkeys((*unread, *unseen)))
        raise Failure(
            _("Not everything could be read: {files}.").format(files=", ".join(unread)),
            Exit.NOT_ALLOWED,
            hint=_("Run it again with sudo, or in a root shell.") if forbidden else "",
            facts=document,
        )
    unsure = [one.service for one in checked if one.table and not one.table.complete]
    if unsure:
        text = _("It is not known who gets in by {services}.")
        raise Failure(text.format(services=", ".join(unsure)), Exit.NOT_ALLOWED, facts=document)
    if json:
        output.emit({**document, "ok": True})
    return Exit.OK


class _Progress(Closing):
    """Show which service is looked at, where a person waits for it."""

    def __init__(self, count: int) -> None:
        self._count, self._number = count, 0
        self._lively = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._since = time.monotonic()

    def next(self, service: str) -> None:
        self._number += 1
        if self._lively and time.monotonic() - self._since > 0.3:
            text = output.printable(f"[{self._number}/{self._count}] {service}")
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    def close(self) -> None:
        if self._lively:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
