# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings``: which ukey is bound to whom."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from keyservice.contract.names import RECORDS_DIR
from tools import damage, missing, output, owner, transfer
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
    ("kind", N_("the kind of ukey, such as gmt0017, piv or openpgp")),
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
        "--missing turns it round: people who can log in and have none.\n\n"
        "export prints all bindings, for root: public data, without those whose key is revoked. "
        "import shows what such a file would bind on this host, key by key, and binds it after a "
        "question: all, or nothing if one key is refused. ALL WHO HOLD THESE KEYS GET IN then, "
        "so the file must come to you unchanged. Names decide, and the numbers are this host's. A "
        "key is refused if there is no such user, if it or its ukey is bound to somebody else, if "
        "it is revoked here, or if this host's policy does not accept it. What another host knows "
        "of the maker of a key is not taken over. "
        "With --json it changes nothing unless --yes is there too."
    ),
    examples=(
        ("ukey bindings", N_("who has which ukey?")),
        ("ukey bindings export", N_("all bindings, to keep in a file for the next host")),
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
        ("document", N_("with export alone: the file's content")),
        ("left", N_("with export: a list of the keys that are left out, with keys as below")),
        ("keys", N_("with import alone: a list, with an object for each key:")),
        *transfer.KEYS,
        ("changed", N_("with import: whether anything was bound")),
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
    out.add_argument("--yes", action="store_true", help=_("do not ask whether it is really meant"))
    out.add_argument(
        "action",
        metavar="WHAT",
        nargs="?",
        choices=("export", "import"),
        help=_("export or import: print all bindings, or bind what such a file says"),
    )
    out.add_argument("file", metavar="FILE", nargs="?", help=_("the file to import"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    asked = parser()
    given = asked.parse_args(arguments)
    if (given.action == "import") != (given.file is not None) or (given.action and given.missing):
        asked.error(_("import takes a file, and nothing else does"))
    if given.yes and given.action != "import":
        asked.error(_("--yes is for import alone"))
    if given.action == "export":
        return transfer.export(json=given.json)
    if given.action == "import":
        return transfer.import_(given.file, yes=given.yes, json=given.json)
    if given.missing:
        need_root(_("Looking at everybody's account needs root."))
    with asking() as bus:
        answer = bus.list_bindings()
    found = rows([each for each in answer if not damage.is_file(each)], KEYS)
    damaged, strays = damage.rows(answer), damage.rows(answer, "stray")
    if given.missing:
        with_ukey = {int(str(each["uid"])) for each in found if each["purpose"] != "ssh"}
        return _missing(with_ukey, damaged, json=given.json)
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
    # a host where no ukey has a label, or nobody vouches for anything, is spared the column
    labelled = any(each["label"] for each in found)
    label = [_("LABEL")] if labelled else []
    shown = any(each["attested"] for each in found)
    attested = [_("ATTESTED")] if shown else []
    output.table(
        [_("USER"), _("UID"), _("SERIAL"), *label, *attested, _("BOUND"), _("BY"), _("NOTE")],
        [
            [
                word(each["user"]),
                text(each["uid"]),
                word(each["serial"]),
                *([text(each["label"])] if labelled else []),
                *([_("yes") if each["attested"] else _("no")] if shown else []),
                local_time(each["bound_at"]),
                user_of(each["bound_by"]),
                owner.note(each),
            ]
            for each in found
        ],
    )
