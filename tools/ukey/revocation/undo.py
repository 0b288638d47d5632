# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey revocation undo FINGERPRINT|SERIAL``: let a revoked key be bound again."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract.names import STATE_DIR
from tools import output, revoked_key
from tools.bus import asking, rows
from tools.command import need_root
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser, name
from tools.ukey.revocation.list import KEYS

MANUAL = Manual(
    section=8,
    summary=N_("Take the revocation of a key back: a lost ukey was found."),
    about=N_(
        "The ukey can be bound again afterwards, with getpubkey; it is not bound by this. Make "
        "sure first that nobody had it who could know its PIN. Needs root; written to the audit "
        "log."
    ),
    examples=(
        (
            "ukey revocation undo 66c7f0f4",
            N_("the first digits of the fingerprint that 'ukey revocation list' shows"),
        ),
        (
            "ukey revocation undo 9F3A00017C21",
            N_("the serial, where one key of that ukey is revoked"),
        ),
    ),
    json_keys=(("key", N_("the fingerprint")),),
    files=((STATE_DIR + "/revoked", N_("the revocations; nothing is ever removed from it")),),
    see=("ukey revocation list", "rmpubkey", "getpubkey"),
)


def parser() -> Parser:
    out = Parser("ukey revocation undo", MANUAL)
    out.add_argument(
        "key",
        metavar="FINGERPRINT|SERIAL",
        type=name,
        help=_("the key's fingerprint, or enough of its first digits, or the ukey's serial"),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Taking a revocation back needs root."))
    with asking() as bus:
        key = revoked_key.meant(given.key, lambda: rows(bus.list_revocations(), KEYS))
        bus.unrevoke(key)
    if given.json:
        output.emit({"ok": True, "key": key})
    else:
        print(_("The key is no longer revoked; getpubkey can bind it again."))
    return Exit.OK
