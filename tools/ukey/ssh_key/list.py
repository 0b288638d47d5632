# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey ssh-key list [USER]``: which ssh keys are registered."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract.names import RECORDS_DIR
from tools import damage, output
from tools.bus import asking, local_time, rows, text, user_of, word
from tools.command import need_root
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser, name

KEYS = (
    ("user", N_("the user's name")),
    ("uid", N_("the user's number")),
    ("kind", N_("sk for a security key, ssh for a key from a file, else the kind of the ukey")),
    ("serial", N_("the serial of the ukey that it is on; empty for a key from a file")),
    ("algorithm", N_("the key's algorithm, such as ed25519 or sk-ed25519")),
    ("ssh", N_("its fingerprint as ssh-keygen -l shows it")),
    ("key", N_("its fingerprint, 64 hexadecimal digits: what ukey revocation undo takes")),
    ("bound_at", N_("when it was registered: UTC, ISO 8601")),
    ("bound_by", N_("the number of the user who registered it")),
)

MANUAL = Manual(
    section=8,
    summary=N_("Show the ssh keys that are registered on this host."),
    about=N_(
        "What stands in authorized_keys and is not here lets nobody in where PAM asks for an ssh "
        "key. A revoked key stays in 'ukey revocation list'. Needs root."
    ),
    examples=(
        ("ukey ssh-key list", N_("all keys of all users")),
        ("ukey ssh-key list alice", N_("those of alice")),
        (
            "ukey ssh-key list --json | jq -r '.ssh_keys[] | [.user, .ssh] | @tsv'",
            N_("users and fingerprints for another program"),
        ),
    ),
    json_keys=(("ssh_keys", N_("a list, with an object for each key:")), *KEYS),
    files=((RECORDS_DIR + "/", N_("the records, a file per user, readable by root only")),),
    see=("ukey ssh-key add", "ukey ssh-key remove", "ukey bindings"),
)


def parser() -> Parser:
    out = Parser("ukey ssh-key list", MANUAL)
    out.add_argument(
        "user", metavar="USER", type=name, nargs="?", help=_("the user whose keys are shown")
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Listing ssh keys needs root."))
    with asking() as bus:
        answer = bus.list_bindings()
    kept = [each for each in answer if not damage.is_file(each) and each.get("purpose") == "ssh"]
    found = rows([each for each in kept if given.user in (None, each["user"])], KEYS)
    damaged = damage.rows(answer)
    if given.json:
        output.emit({"ok": True, "ssh_keys": found, "damaged": damaged})
        return Exit.OK
    if found:
        output.table(
            [_("USER"), _("KIND"), _("SERIAL"), _("REGISTERED"), _("BY"), _("FINGERPRINT")],
            [
                [
                    word(each["user"]),
                    word(each["kind"]),
                    word(each["serial"]),
                    local_time(each["bound_at"]),
                    user_of(each["bound_by"]),
                    text(each["ssh"]),
                ]
                for each in found
            ],
        )
    else:
        output.say(_("No ssh key is registered. ukey ssh-key add USER registers one."))
    damage.show(damaged)
    return Exit.OK
