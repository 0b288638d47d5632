# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings``: which ukey is bound to whom."""

from __future__ import annotations

import os
from collections.abc import Sequence

from keyservice.contract.names import RECORDS_DIR
from tools import output
from tools.bus import Row, asking, local_time, rows, text, user_of
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.output import Cell, Colour
from tools.parser import Parser

KEYS = (
    ("user", N_("the user's name")),
    ("uid", N_("the user's number")),
    ("serial", N_("the ukey's serial")),
    ("kind", N_("the kind of ukey, such as gmt0017")),
    ("application", N_("the application on the ukey that holds the key pair")),
    ("container", N_("the container in it that holds the key pair")),
    ("algorithm", N_("the key's algorithm: sm2")),
    ("public_key", N_("the public key: X and Y, 128 hexadecimal digits for sm2")),
    ("key", N_("its fingerprint, SM3, 64 hexadecimal digits: what ukey unrevoke takes")),
    ("attested", N_("whether its issuer vouches that the key was made on the ukey")),
    ("bound_at", N_("when it was bound: UTC, ISO 8601")),
    ("bound_by", N_("the number of the user who bound it")),
    ("revoked", N_("whether the key was revoked, and so is not accepted")),
)
DAMAGED_KEYS = (
    ("path", N_("the record's file")),
    ("why", N_("what is wrong with it")),
)

MANUAL = Manual(
    summary=N_("Show which ukey is bound to whom."),
    about=N_(
        "root sees all bindings, and every record that cannot be trusted with the reason; others "
        "see their own. A user whose record is damaged cannot log in until it is restored, or "
        "removed with 'rmpubkey --force' and bound again."
    ),
    examples=(
        ("ukey bindings", N_("who has which ukey?")),
        (
            "ukey bindings --json | jq -r '.bindings[] | [.user, .serial] | @tsv'",
            N_("users and serials for another program"),
        ),
    ),
    json_keys=(
        ("bindings", N_("a list, with an object for each binding:")),
        *KEYS,
        ("damaged", N_("a list, with an object for each damaged record:")),
        *DAMAGED_KEYS,
    ),
    files=((RECORDS_DIR + "/", N_("the bindings, a file per user, readable by root only")),),
    see=("getpubkey", "rmpubkey", "ukey revoked", "usbkey(5)"),
)


def parser() -> Parser:
    return Parser("ukey bindings", MANUAL)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    with asking() as bus:
        answer = bus.list_bindings()
    found = rows([each for each in answer if not each.get("damaged")], KEYS)
    damaged = rows([each for each in answer if each.get("damaged")], DAMAGED_KEYS)
    if given.json:
        output.emit({"ok": True, "bindings": found, "damaged": damaged})
        return Exit.OK
    if found:
        _show(found)
    elif os.geteuid() == 0:
        output.say(_("No ukey is bound. getpubkey USER binds one."))
    else:
        output.say(_("No ukey is bound to you. An administrator binds one with getpubkey."))
    for each in damaged:
        output.say(f"{each['path']}: {reason(each['why'])}", Colour.ALARM)
    return Exit.OK


def _show(found: Sequence[Row]) -> None:
    output.table(
        [_("USER"), _("UID"), _("SERIAL"), _("BOUND"), _("BY"), _("NOTE")],
        [
            [
                text(each["user"]),
                text(each["uid"]),
                text(each["serial"]),
                local_time(each["bound_at"]),
                user_of(each["bound_by"]),
                _note(each),
            ]
            for each in found
        ],
    )


def _note(binding: Row) -> Cell:
    if binding["revoked"]:
        return _("revoked: not accepted"), Colour.ALARM
    return "" if binding["attested"] else _("not attested")
