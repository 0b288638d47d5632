# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings``: which ukey is bound to whom."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from keyservice.contract.names import RECORDS_DIR
from tools import damage, missing, output, owner
from tools.bus import Row, asking, local_time, rows, text, user_of, word
from tools.command import Failure, need_root
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.output import Colour
from tools.parser import Parser

KEYS = (
    ("user", N_("the user's name")),
    ("uid", N_("the user's number")),
    ("serial", N_("the ukey's serial")),
    ("kind", N_("the kind of ukey, such as gmt0017 or piv")),
    ("application", N_("the application on the ukey that holds the key pair")),
    ("container", N_("the container in it that holds the key pair")),
    ("algorithm", N_("the key's algorithm: sm2")),
    ("public_key", N_("the public key: X and Y, 128 hexadecimal digits for sm2")),
    ("key", N_("its fingerprint, SM3, 64 hexadecimal digits: what ukey revocation undo takes")),
    ("attested", N_("whether its maker vouches that the key was made on the ukey")),
    ("bound_at", N_("when it was bound: UTC, ISO 8601")),
    ("bound_by", N_("the number of the user who bound it")),
    ("purpose", N_("what the key is for: login or ssh")),
    ("label", N_("how its owner tells it from their others")),
    *owner.KEYS,
)

MANUAL = Manual(
    summary=N_("Show which ukey is bound to whom."),
    about=N_(
        "root sees all bindings, and every record and history that is damaged or gone with the "
        "reason; others see their own. A user whose record is damaged or gone cannot log in until "
        "it is restored, or removed with 'rmpubkey --force' and bound again; as long as there is "
        "one, nouserok passes nobody. A note marks a key that is revoked, a user who is gone, and "
        "a name or number that is another's now: 'rmpubkey --force' ends such a binding. "
        "--missing turns it round: people who can log in and have none."
    ),
    examples=(
        ("ukey bindings", N_("who has which ukey?")),
        ("ukey bindings --missing", N_("who can log in, and has no ukey yet?")),
        (
            "ukey bindings --json | jq -r '.bindings[] | [.user, .serial] | @tsv'",
            N_("users and serials for another program"),
        ),
    ),
    json_keys=(
        ("bindings", N_("a list, with an object for each binding:")),
        *KEYS,
        ("damaged", N_("a list, with an object for each that is damaged or gone:")),
        *damage.KEYS,
        (
            "strays",
            N_("a list, with the same for each file there that is no record, and keeps nobody out"),
        ),
        ("missing", N_("a list, with --missing alone and in place of the bindings:")),
        *missing.KEYS,
    ),
    files=((RECORDS_DIR + "/", N_("the bindings, a file per user, readable by root only")),),
    see=("getpubkey", "rmpubkey", "ukey revocation list", "ukey accept-state", "usbkey(5)"),
)


def parser() -> Parser:
    out = Parser("ukey bindings", MANUAL)
    out.add_argument(
        "--missing",
        action="store_true",
        help=_("show who can log in and has no ukey; for root"),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    if given.missing:
        need_root(_("Looking at everybody's account needs root."))
    with asking() as bus:
        answer = bus.list_bindings()
    found = rows([each for each in answer if not damage.is_file(each)], KEYS)
    damaged, strays = damage.rows(answer), damage.rows(answer, "stray")
    if given.missing:
        return _missing({int(str(each["uid"])) for each in found}, damaged, json=given.json)
    if given.json:
        output.emit({"ok": True, "bindings": found, "damaged": damaged, "strays": strays})
        return Exit.OK
    if found:
        _show(found)
    elif os.geteuid() == 0:
        output.say(_("No ukey is bound. getpubkey USER binds one."))
    else:
        output.say(_("No ukey is bound to you. An administrator binds one with getpubkey."))
    damage.show(damaged)
    damage.show(strays, Colour.WARNING)
    return Exit.OK


def _missing(enrolled: Collection[int], damaged: Sequence[Row], *, json: bool) -> Exit:
    try:
        people = missing.accounts(enrolled)
    except OSError as error:
        said = _("The accounts cannot be read: {reason}.")
        why = reason(error)
        raise Failure(said.format(reason=why), Exit.FAILED) from None
    if json:
        output.emit({"ok": True, "missing": people, "damaged": damaged})
        return Exit.OK
    if people:
        output.table(
            [_("USER"), _("UID"), _("SHELL")],
            [[word(each["user"]), text(each["uid"]), word(each["shell"])] for each in people],
        )
    else:
        output.say(_("Everybody who can log in has a ukey."))
    damage.show(damaged)  # people whose ukeys are not known are in one of these
    return Exit.OK


def _show(found: Sequence[Row]) -> None:
    # a host where nobody vouches for anything is spared the column
    shown = any(each["attested"] for each in found)
    attested = [_("ATTESTED")] if shown else []
    output.table(
        [_("USER"), _("UID"), _("SERIAL"), *attested, _("BOUND"), _("BY"), _("NOTE")],
        [
            [
                word(each["user"]),
                text(each["uid"]),
                word(each["serial"]),
                *([_("yes") if each["attested"] else _("no")] if shown else []),
                local_time(each["bound_at"]),
                user_of(each["bound_by"]),
                owner.note(each),
            ]
            for each in found
        ],
    )
