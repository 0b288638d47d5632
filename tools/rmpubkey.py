# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``rmpubkey USER``: take a binding away, after the PIN or for a lost ukey."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract import operations
from keyservice.contract.names import Flag

from .command import need_root, run
from .consent import need_yes
from .conversation import VERDICT_KEYS, hold
from .exits import Exit
from .language import N_, _
from .manual import Manual
from .parser import Parser, add_serial, name

MANUAL = Manual(
    section=8,
    summary=N_("Unbind a user's ukey."),
    about=N_(
        "Without options the ukey has to be in a reader and its PIN is asked for, so "
        "that nobody unbinds it who does not hold it. It can be bound again later. Of a user with "
        "several ukeys it is the one that is in a reader, or the one that --serial names; if "
        "several are in readers, you are asked.\n\n"
        "--force is for a ukey that is lost, stolen or locked for good. Its key is revoked on this "
        "host before the binding is removed, so that no backup brings it back; 'ukey revocation "
        "undo' takes that back. Without --serial it takes all that is bound to the user: every "
        "ukey, and ssh keys too. Both are written to the audit log.\n\n"
        "That the user had a ukey stays known: where a stack says nouserok, the password alone is "
        "not enough for them, as it is for people who never had one. 'ukey forget' ends that.\n\n"
        "Without a ukey the user cannot log in wherever one is required: bind the next one with "
        "getpubkey, or see that the user is not the only administrator."
    ),
    examples=(
        ("rmpubkey alice", N_("alice hands her ukey back: insert it, enter its PIN")),
        ("rmpubkey --force alice", N_("alice has lost her ukey: revoke it, then unbind it")),
        (
            "rmpubkey --force alice --serial 9F3A00017C21",
            N_("alice has lost one of her ukeys: she keeps the other one"),
        ),
        (
            "rmpubkey --force --yes --json alice",
            N_("the same from a program, without the question"),
        ),
    ),
    json_keys=VERDICT_KEYS,
    usage=(
        "rmpubkey [--json] [--serial SERIAL] USER",
        "rmpubkey --force [--yes] [--json] [--serial SERIAL] USER",
    ),
    see=("getpubkey", "ukey bindings", "ukey revocation", "ukey forget", "usbkey(5)"),
)


def parser() -> Parser:
    out = Parser("rmpubkey", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("the user whose ukey is unbound"))
    add_serial(out, _("the one ukey to unbind, of several; its first 4 characters or more will do"))
    out.add_argument(
        "--force",
        action="store_true",
        help=_("revoke the key and unbind it without the ukey and its PIN"),
    )
    out.add_argument(
        "--yes", action="store_true", help=_("do not ask whether --force is really meant")
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Unbinding a ukey needs root."))
    if given.force and not given.yes:
        question = _("Revoke all keys of {user} on this host and unbind them? [y/N]")
        if given.serial:
            question = _("Revoke the key of {user}'s ukey {serial} and unbind it? [y/N]")
        need_yes(question.format(user=given.user, serial=given.serial))
    return hold(
        operations.UNBIND,
        json=given.json,
        service="rmpubkey",
        user=given.user,
        serial=given.serial,
        flags=Flag.FORCE if given.force else Flag(0),
    )


def main() -> None:
    run(command)


if __name__ == "__main__":
    main()
