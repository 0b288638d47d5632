# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``getpubkey USER``: read a ukey's public key and bind it to a user."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract import operations
from keyservice.contract.names import ATTESTATION_DIR, RECORDS_DIR, Flag

from . import output, selinux
from .command import need_root, run
from .conversation import VERDICT_KEYS, hold
from .exits import Exit
from .language import N_, _
from .manual import Manual
from .parser import Parser, add_application, add_serial, name

MANUAL = Manual(
    section=8,
    summary=N_("Bind a ukey to a user: from then on the user logs in with it."),
    about=N_(
        "The ukey has to be in a reader. Its PIN is asked for; then the ukey signs a trial "
        "message, and only if the signature is right are its serial and public key stored. The "
        "private key never leaves the ukey, and the PIN is not stored anywhere.\n\n"
        "One ukey has one user. A user has one ukey, or as many as ukeys_per_person in "
        "keyservice.toml(5) says, so that a spare one is at hand when the other is lost: any of "
        "them that is in a reader logs them in. To replace a ukey, unbind the old one with "
        "rmpubkey first. A ukey that still has the PIN it was shipped with is refused: "
        "change the PIN with chpinpw. So is a key that signs without a PIN, as in slot 9E of a PIV "
        "card.\n\n"
        "A PIV card makes a key pair with its management key, an OpenPGP card with its admin PIN, "
        "which is asked for. Of an OpenPGP card the authentication key is bound.\n\n"
        "Where the certificates of makers are on this host, a ukey of theirs that can is asked to "
        "vouch for its key, and the record says what came of it; with [policy] attested = true, "
        "a ukey for whose key nobody vouches is refused.\n\n"
        "Prompts are on standard error. Where standard input is not a terminal, each prompt takes "
        "one line of it."
    ),
    examples=(
        ("getpubkey alice", N_("bind the one ukey that is in a reader to alice")),
        (
            "getpubkey alice --serial 9F3A00017C21",
            N_("several ukeys are in readers: name the serial that 'ukey list' shows"),
        ),
        (
            "getpubkey alice --generate",
            N_("the ukey is new and holds no key pair yet: let it make one"),
        ),
        (
            "getpubkey alice --application LOGIN --container sign",
            N_("choose among several key pairs on the ukey without being asked"),
        ),
        (
            "getpubkey alice --label spare",
            N_("a second ukey, where two are allowed: prompts and lists name it so"),
        ),
        ("getpubkey alice --generate --container 9A", N_("a PIV card: make a pair in that slot")),
        (
            "getpubkey alice --generate --container AUT",
            N_("an OpenPGP card: make its authentication key"),
        ),
    ),
    json_keys=(
        *VERDICT_KEYS,
        ("attested", N_("whether its maker vouches that the key was made on the ukey")),
    ),
    files=(
        (RECORDS_DIR + "/", N_("the bindings, a file per user, readable by root only")),
        (ATTESTATION_DIR + "/", N_("certificates of makers whose ukeys vouch for their keys")),
    ),
    see=(
        "rmpubkey",
        "chpinpw",
        "ukey list",
        "ukey bindings",
        "keyservice.toml(5)",
        "pam_ukey(8)",
    ),
)


def parser() -> Parser:
    out = Parser("getpubkey", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("the user who is to own the ukey"))
    add_serial(out, _("the ukey to bind; needed only when several are in readers"))
    add_application(out, _("the application on the ukey that holds the key pair"))
    out.add_argument(
        "--container",
        metavar="NAME",
        type=name,
        help=_("the container that holds the key pair; with several, you are asked"),
    )
    out.add_argument(
        "--label",
        metavar="TEXT",
        type=name,
        help=_("what prompts and lists call the ukey, beside its serial"),
    )
    out.add_argument(
        "--generate",
        action="store_true",
        help=_("make a new key pair on the ukey; an existing one is never overwritten"),
    )
    out.add_argument(
        "--allow-default-pin",
        action="store_true",
        help=_("bind although the ukey still has the PIN it was shipped with: for tests only"),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Binding a ukey needs root."))
    if selinux.module_missing():
        output.say(f"{_(selinux.MISSING)} {_(selinux.REMEDY)}", output.Colour.ALARM)
    flags = Flag(0)
    if given.generate:
        flags |= Flag.GENERATE
    if given.allow_default_pin:
        flags |= Flag.ALLOW_DEFAULT_PIN
    return hold(
        operations.BIND,
        json=given.json,
        service="getpubkey",
        user=given.user,
        serial=given.serial,
        application=given.application,
        container=given.container,
        label=given.label,
        flags=flags,
    )


def main() -> None:
    run(command)


if __name__ == "__main__":
    main()
