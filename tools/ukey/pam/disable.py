# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam disable SERVICE…|--all``: what ``ukey pam enable`` did, undone."""

from __future__ import annotations

from collections.abc import Sequence

from tools.command import need_root
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.pamcheck.libpam import Unable
from tools.pamcheck.places import Places
from tools.pamedit import block, flow
from tools.pamedit.files import BACKUPS
from tools.pamedit.flow import Flow
from tools.pamedit.private import private
from tools.pamedit.verdicts import Judge, reached
from tools.parser import Parser

from . import changing

MANUAL = Manual(
    section=8,
    summary=N_("Have PAM no longer ask for the ukey: undo what 'ukey pam enable' did."),
    about=N_(
        "The lines that 'ukey pam enable' put in are taken out, and the line that they stand for "
        "comes back; what else was changed in the file meanwhile stays. From then on the password "
        "alone lets people in, unless another file, as common-auth, still asks for the ukey. "
        "Lines that were changed since are left, and it says so: the dated folder has the file as "
        "it was.\n\n"
        "It asks neither the keyservice nor a ukey, so that it works where they are what fails. It "
        "refuses where not even a password would be needed, or where nobody would get in. Files "
        "are kept and replaced as by 'ukey pam enable'."
    ),
    examples=(
        ("ukey pam disable login", N_("the console asks for the password alone")),
        ("ukey pam disable --all --dry-run", N_("only show what would be changed")),
    ),
    json_keys=flow.KEYS,
    files=(
        ("/etc/pam.d/SERVICE", N_("the stacks")),
        (f"{BACKUPS}/pam.d-DATE", N_("the files as they were")),
    ),
    see=("ukey pam enable", "ukey pam check", "pam_ukey(8)"),
)


def parser() -> Parser:
    out = Parser("ukey pam disable", MANUAL)
    changing.add(out)
    return out


def command(arguments: Sequence[str]) -> Exit:
    out = parser()
    wanted = changing.wanted(out, out.parse_args(arguments), enable=False)
    need_root(_("Changing /etc/pam.d needs root."))
    places = Places()
    run = Flow(wanted, places)
    if not run.plan(lambda _service, _file, content: block.disabled(content)):
        return run.nothing(_("Nothing to do: the ukey is not asked for."))
    services = reached(places, run.changes)
    with private(places, run.changes) as folder:
        try:
            judge = Judge(places, services, folder)
            run.forbid(judge.disabling())
        except Unable:
            raise changing.cannot_judge() from None
    run.facts["services"] = list(services)
    run.show()
    if wanted.dry_run:
        return run.nothing(_("Nothing was changed: --dry-run."))
    if judge.by_password:
        question = _("The password alone lets people in by {services} then. Go on? [y/N]")
        return run.carry_out(question.format(services=", ".join(judge.by_password)))
    question = _("Other lines still ask enrolled people for the ukey by {services}. Go on? [y/N]")
    return run.carry_out(question.format(services=", ".join(services)))
