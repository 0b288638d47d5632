# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey ssh-key add USER``: register an ssh key, from a file or from a ukey in a reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keyservice.contract import operations
from keyservice.contract.names import RECORDS_DIR
from tools.command import Failure, need_root
from tools.conversation import VERDICT_KEYS, hold
from tools.exits import Exit
from tools.language import N_, _, reason
from tools.manual import Manual
from tools.parser import Parser, add_application, add_serial, name

MANUAL = Manual(
    section=8,
    summary=N_("Register an ssh key of a user: with it and the password they log in from afar."),
    about=N_(
        "With --from-file the key is that of a public key file, as ssh-keygen writes it: one key "
        "and no options. Of a key for a security key (sk-) the type says that it is on one; of any "
        "other, you vouch for it that its private part is where nobody can copy it.\n\n"
        "Without it the key is that of a ukey in a reader, such as a PIV card. Its PIN is asked "
        "for, and it signs a trial message. SM2 keys are refused: ssh has none. A key that is "
        "bound for logins at this host cannot be an ssh key as well: use another slot.\n\n"
        "Certificates are refused: register the key that they certify, for which they count too. "
        "The key must also be in the user's authorized_keys, or what sshd takes in its place."
    ),
    examples=(
        (
            "ukey ssh-key add alice --from-file id_ed25519_sk.pub",
            N_("a security key of alice's, from the file that ssh-keygen has written"),
        ),
        (
            "ukey ssh-key add alice --container 9A",
            N_("the PIV card of alice is in a reader: its key in slot 9A"),
        ),
    ),
    json_keys=(
        *VERDICT_KEYS,
        ("ssh", N_("the key's fingerprint as ssh-keygen -l shows it")),
        ("key", N_("its fingerprint, 64 hexadecimal digits: what ukey revocation undo takes")),
    ),
    files=((RECORDS_DIR + "/", N_("the records, a file per user, readable by root only")),),
    see=("ukey ssh-key list", "ukey ssh-key remove", "getpubkey", "keyservice.toml(5)"),
)


def parser() -> Parser:
    out = Parser("ukey ssh-key add", MANUAL)
    out.add_argument("user", metavar="USER", type=name, help=_("the user whose key it is"))
    out.add_argument(
        "--from-file",
        metavar="FILE",
        type=name,
        help=_("the public key file; - for standard input"),
    )
    add_serial(out, _("the ukey with the key; needed only when several are in readers"))
    add_application(out, _("the application on the ukey that holds the key pair"))
    out.add_argument(
        "--container",
        metavar="NAME",
        type=name,
        help=_("the container, or slot, that holds the key pair; with several, you are asked"),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Registering an ssh key needs root."))
    return hold(
        operations.SSH_KEY_ADD,
        json=given.json,
        service="ukey",
        user=given.user,
        public_key=None if given.from_file is None else _content(given.from_file),
        serial=given.serial,
        application=given.application,
        container=given.container,
    )


def _content(file: str) -> str:
    """What is in the file, as far as it can be a public key."""
    limit = operations.PUBLIC_KEY.limit
    path = Path("/dev/stdin" if file == "-" else file)
    try:
        with path.open("rb") as opened:
            content = opened.read(limit + 1)
    except OSError as error:
        text = _("{file} cannot be read: {reason}.").format(file=file, reason=reason(error))
        raise Failure(text, Exit.USAGE) from None
    text = content.decode("utf-8", "replace").replace("\0", "\ufffd")
    if len(text.encode()) > limit or not text.strip():
        said = _("{file} is no public key file: it is empty, or has more than {limit} bytes.")
        raise Failure(said.format(file=file, limit=limit), Exit.USAGE)
    return text
