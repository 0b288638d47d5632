# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey revocation list``: the keys that this host refuses for good."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract.names import STATE_DIR
from tools import output
from tools.bus import asking, local_time, rows, text, user_of, word
from tools.command import need_root
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser

KEYS = (
    ("key", N_("the key's fingerprint: SM3 of the public key, 64 hexadecimal digits")),
    ("user", N_("who it was bound to")),
    ("serial", N_("the ukey's serial")),
    ("at", N_("when it was revoked: UTC, ISO 8601")),
    ("by", N_("the number of the user who revoked it")),
)

MANUAL = Manual(
    section=8,
    summary=N_("Show the keys that are revoked on this host."),
    about=N_(
        "'rmpubkey --force' revokes a key. A revoked key is not accepted whatever a record says, "
        "so that a lost ukey does not come back with a backup of /etc. Revocations are this "
        "host's: do it on every host where the ukey was bound. Needs root."
    ),
    examples=(
        ("ukey revocation list", N_("which keys are refused, and since when?")),
        (
            "ukey revocation list --json | jq -r '.revoked[].key'",
            N_("their fingerprints, one a line"),
        ),
    ),
    json_keys=(("revoked", N_("a list, with an object for each key:")), *KEYS),
    files=((STATE_DIR + "/revoked", N_("the revocations; nothing is ever removed from it")),),
    see=("rmpubkey", "ukey revocation undo", "usbkey(5)"),
)


def parser() -> Parser:
    return Parser("ukey revocation list", MANUAL)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Listing revocations needs root."))
    with asking() as bus:
        found = rows(bus.list_revocations(), KEYS)
    if given.json:
        output.emit({"ok": True, "revoked": found})
    elif found:
        output.table(
            [_("REVOKED"), _("BY"), _("USER"), _("SERIAL"), _("FINGERPRINT")],
            [
                [
                    local_time(each["at"]),
                    user_of(each["by"]),
                    word(each["user"]),
                    word(each["serial"]),
                    text(each["key"]),
                ]
                for each in found
            ],
        )
    else:
        output.say(_("No key is revoked on this host."))
    return Exit.OK
