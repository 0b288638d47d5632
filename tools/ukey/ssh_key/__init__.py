# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey ssh-key SUBCOMMAND``: the ssh keys that count as a factor."""

from __future__ import annotations

from tools.group import Group
from tools.language import N_
from tools.manual import Manual

MANUAL = Manual(
    section=8,
    summary=N_("Register the ssh keys that let people in from afar, beside the password."),
    about=N_(
        "sshd verifies a key, PAM asks for the password, and the keyservice lets in only if that "
        "key is registered here for the user. A key that is merely in authorized_keys is not "
        "enough. 'ukey ssh-key SUBCOMMAND --help' explains each, with examples."
    ),
    examples=(("ukey ssh-key list", N_("which keys are registered, and for whom?")),),
    see=("ukey bindings", "ukey revocation", "pam_ukey(8)", "keyservice.toml(5)"),
    subcommands=(
        ("add", N_("register a key of a user")),
        ("list", N_("the keys that are registered")),
        ("remove", N_("end that, and revoke a key that was lost")),
    ),
    usage=("ukey ssh-key SUBCOMMAND ...", "ukey ssh-key SUBCOMMAND --help"),
)

GROUP = Group("ukey ssh-key", __name__, MANUAL)
