# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command lines of enable and disable."""

from __future__ import annotations

import argparse
import re

from tools.command import Failure
from tools.exits import Exit
from tools.language import _
from tools.pamedit.flow import Wanted
from tools.parser import Parser

_SERVICE = re.compile(r"[a-z0-9_][a-z0-9_.+@-]{0,63}")


def add(out: Parser) -> None:
    out.add_argument(
        "services",
        metavar="SERVICE",
        nargs="*",
        type=_service,
        help=_("a file of /etc/pam.d, such as login, su or sshd"),
    )
    out.add_argument(
        "--all",
        action="store_true",
        help=_("all services that include common-auth, by pam-auth-update"),
    )
    out.add_argument(
        "--dry-run", action="store_true", help=_("check and show the change, and make none")
    )
    out.add_argument("--yes", action="store_true", help=_("do not ask before the change"))


def wanted(out: Parser, given: argparse.Namespace, *, enable: bool) -> Wanted:
    if bool(given.services) is given.all:
        out.error(_("name services, or say --all"))
    services = tuple(dict.fromkeys(given.services))
    return Wanted(enable, given.all, services, given.dry_run, given.yes, given.json)


def cannot_judge() -> Failure:
    return Failure(
        _("This libpam cannot be asked: it is older than 1.4, or has no pam_debug.so."),
        Exit.FAILED,
        hint=_("It comes with libpam-modules on Debian, with pam on Red Hat's family."),
    )


def _service(text: str) -> str:
    text = text.lower()  # as libpam has it
    if text.startswith("common-"):
        said = _("no service, but a part of many: --all changes all that include common-auth")
        raise argparse.ArgumentTypeError(said)
    if _SERVICE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(_("no name of a service in /etc/pam.d"))
    return text
