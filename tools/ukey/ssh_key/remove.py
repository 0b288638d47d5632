# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey ssh-key remove USER FINGERPRINT``: an ssh key lets nobody in any more."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract import operations
from keyservice.contract.names import STATE_DIR, Flag
from tools.command import need_root
from tools.consent import need_yes
from tools.conversation import VERDICT_KEYS, hold
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser, name

MANUAL = Manual(
    section=8,
    summary=N_("Remove an ssh key of a user; with --force, revoke it too."),
    about=N_(
        "The key lets nobody in from then on, and can be registered again.\n\n"
        "--force is for a key that is lost or stolen. It is revoked on this host before the record "
        "goes, so that no backup brings it back; 'ukey revocation undo' takes that back. Do it on "
        "every host where the key is registered, and take the key out of authorized_keys. Needs "
        "root; written to the audit log."
    ),
    examples=(
        (
            "ukey ssh-key remove alice SHA256:0wRMNw7Qb8bVYxZ9a2q1cDhbHf0C5cgm0r4nQ2Nn5tE",
            N_("by the fingerprint that 'ukey ssh-key list' and ssh-keygen -l show"),
        ),
        (
            "ukey ssh-key remove --force --yes alice SHA256:0wRMNw7Q",
            N_("it is lost: revoke it, without the question; the first characters will do"),
        ),
    ),
    json_keys=(
        *VERDICT_KEYS,
        ("ssh", N_("the key's fingerprint as ssh-keygen -l shows it")),
        ("key", N_("its fingerprint, 64 hexadecimal digits: what ukey revocation undo takes")),
    ),
    files=((STATE_DIR + "/revoked", N_("the revocations; nothing is ever removed from it")),),
    see=("ukey ssh-key list", "ukey revocation"),
)


def parser() -> Parser:
    out = Parser("ukey ssh-key remove", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("the user whose key it is"))
    out.add_argument(
        "key", metavar="FINGERPRINT", type=name, help=_("the key's fingerprint, ssh's or ours")
    )
    out.add_argument("--force", action="store_true", help=_("revoke the key on this host, too"))
    out.add_argument(
        "--yes", action="store_true", help=_("do not ask whether --force is really meant")
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Removing an ssh key needs root."))
    if given.force and not given.yes:
        question = _("Revoke this ssh key of {user} on this host and remove it? [y/N]")
        need_yes(question.format(user=given.user))
    return hold(
        operations.SSH_KEY_REMOVE,
        json=given.json,
        service="ukey",
        user=given.user,
        key=given.key,
        flags=Flag.FORCE if given.force else Flag(0),
    )
