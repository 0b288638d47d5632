# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey accept-state``: take the state of this host as right, whatever was lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from keyservice.contract.names import RECORDS_DIR, STATE_DIR, ErrorName
from tools import damage, output, service
from tools.bus import Row, asking
from tools.command import Failure, need_root
from tools.consent import need_yes
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.parser import Parser

KEYSERVICE = "/usr/libexec/ukey/keyservice"
#: Seconds that it may take to read and write all that is kept.
_SECONDS = 60

MANUAL = Manual(
    section=8,
    summary=N_("Take what is kept on this host for right as it is, whatever was lost."),
    about=N_(
        "The keyservice knows which records there were, and how long the histories of revocations "
        "and of people with ukeys were. Where some of that is gone, shorter or cut it is damaged, "
        "and nobody gets in by it: put it back from a backup if there is one.\n\n"
        "Where it is lost for good, or was meant to go, this command takes what is left for "
        "right. REVOCATIONS THAT ARE LOST ARE NOT IN FORCE then: unbind lost ukeys again, with "
        "'rmpubkey --force'. Users whose records are gone count as unbound: nouserok does not let "
        "them pass. Where the history of people is lost, NOUSEROK PASSES ALL who have no record, "
        "whether they once had a ukey or not.\n\n"
        "It is the same after a host was set up with records of another one. A record that cannot "
        "be read stays damaged, and so does a history with a line that cannot be read: remove the "
        "line by hand first.\n\n"
        "The keyservice does it, or, where none runs, as in a rescue shell, this command itself. "
        "Needs root; written to the audit log, and into the history of people."
    ),
    examples=(
        ("ukey accept-state", N_("what is damaged or gone? accept it if I say so")),
        ("ukey accept-state --yes --json", N_("the same from a program, without the question")),
    ),
    json_keys=(
        ("accepted", N_("a list, with an object for each file:")),
        *damage.KEYS,
        ("damaged", N_("the same of what is still damaged")),
    ),
    files=(
        (RECORDS_DIR + "/", N_("the bindings, a file per user, readable by root only")),
        (STATE_DIR + "/", N_("the histories of revocations and of people with ukeys")),
    ),
    see=("ukey status", "ukey bindings", "ukey revocation list", "usbkey(5)"),
)


def parser() -> Parser:
    out = Parser("ukey accept-state", MANUAL)
    out.add_argument("--yes", action="store_true", help=_("do not ask whether it is really meant"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Accepting what is kept needs root."))
    damaged = _damaged()
    if not damaged:
        if given.json:
            output.emit({"ok": True, "accepted": [], "damaged": []})
        else:
            print(_("Nothing is damaged or gone."))
        return Exit.OK
    if not given.yes:
        damage.show(damaged)
        question = _("Take what is left for right? Lost revocations are not in force then. [y/N]")
        need_yes(question)
    accepted, left = _accept(), _damaged()
    if left:
        if not given.json:
            damage.show(left)
        raise Failure(
            _("Some of it cannot be read, and stays damaged."),
            Exit.RECORDS,
            error=ErrorName.RECORD_DAMAGED,
            hint=_("Restore these files; or unbind their users with: rmpubkey --force USER"),
            facts={"accepted": accepted, "damaged": left},
        )
    if given.json:
        output.emit({"ok": True, "accepted": accepted, "damaged": []})
    else:
        print(_("What is kept on this host counts as right from now on."))
    return Exit.OK


def _damaged() -> list[Row]:
    """The rows of what is damaged or gone, from the service, or from our own reading where no
    service answers."""
    try:
        with asking() as bus:
            return damage.rows(bus.list_bindings())
    except Failure as failure:
        if failure.error != service.UNREACHABLE:
            raise
    return _alone("--check-state")


def _accept() -> list[Row]:
    try:
        with asking() as bus:
            return damage.rows(bus.accept_state())
    except Failure as failure:
        if failure.error != service.UNREACHABLE:
            raise
    return _alone("--accept-state")


def _alone(option: str) -> list[Row]:
    """Have the keyservice's program do it without serving; it makes sure that no other one runs."""
    try:
        done = subprocess.run(
            [KEYSERVICE, option, "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = reason(error) if isinstance(error, OSError) else type(error).__name__
        raise Failure(
            _("{program} cannot be run: {reason}.").format(program=KEYSERVICE, reason=why),
            Exit.FAILED,
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip().removeprefix("keyservice: ")
        raise Failure(
            output.printable(said),
            Exit.RECORDS,
            error=ErrorName.STORE_FAILED,
            hint=_("If a keyservice runs that is not on the bus, stop it first."),
        )
    found = map(json.loads, done.stdout.splitlines())
    return damage.rows({**each, "damaged": True} for each in found)
