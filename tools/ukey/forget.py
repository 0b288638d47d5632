# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey forget USER``: forget that a user had a ukey."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract.names import STATE_DIR
from tools import output
from tools.bus import asking, rows
from tools.command import need_root
from tools.consent import need_yes
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser, name

KEYS = (
    ("user", N_("the name under which a ukey was bound")),
    ("uid", N_("the number of that user; -1 where it is not known")),
    ("serial", N_("the ukey's serial; empty where it is not known")),
    ("at", N_("when it was unbound: UTC, ISO 8601")),
)

MANUAL = Manual(
    section=8,
    summary=N_("Forget that a user had a ukey."),
    about=N_(
        "Where a stack says nouserok, those who never had a ukey on this host log in by the "
        "password alone. Those whose ukey was unbound, or lost, do not, until another one is "
        "bound: else a thief of passwords would only have to wait for a ukey to get lost.\n\n"
        "This command ends that for a user, by name and by number: THE USER LOGS IN BY THE "
        "PASSWORD ALONE from then on, wherever a stack says nouserok. It is for people who give "
        "their ukey back for good, and for a name or number that somebody else has now. "
        "Revocations stay in force. It is refused while a ukey is bound. Needs root; written to "
        "the audit log."
    ),
    examples=(
        ("ukey forget alice", N_("alice needs no ukey any more: the password is enough for her")),
        ("ukey forget --yes --json alice", N_("the same from a program, without the question")),
    ),
    json_keys=(("forgotten", N_("a list, with an object for each:")), *KEYS),
    files=((STATE_DIR + "/people", N_("who had a ukey; nothing is ever removed from it")),),
    see=("rmpubkey", "getpubkey", "pam_ukey(8)", "usbkey(5)"),
)


def parser() -> Parser:
    out = Parser("ukey forget", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("the user who had a ukey"))
    out.add_argument("--yes", action="store_true", help=_("do not ask whether it is really meant"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Forgetting a user's ukey needs root."))
    if not given.yes:
        question = _(
            "Let {user} log in by the password alone wherever a stack says nouserok? [y/N]"
        )
        need_yes(question.format(user=given.user))
    with asking() as bus:
        known = rows(bus.forget(given.user), KEYS)
    if given.json:
        output.emit({"ok": True, "forgotten": known})
    else:
        text = _("It is forgotten that {user} had a ukey: the password is enough with nouserok.")
        print(output.printable(text.format(user=given.user)))
    return Exit.OK
