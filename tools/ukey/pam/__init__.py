# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam SUBCOMMAND``: the stacks of PAM, looked at, tried and changed."""

from __future__ import annotations

from tools.group import Group
from tools.language import N_
from tools.manual import Manual

MANUAL = Manual(
    section=8,
    summary=N_("Look at PAM stacks, try them, and have them ask for the ukey."),
    about=N_("'ukey pam SUBCOMMAND --help' explains each, with examples."),
    examples=(
        ("ukey pam check", N_("who gets in on this host?")),
        ("ukey pam try alice --service login", N_("a login, without a session")),
        ("ukey pam enable login --dry-run", N_("what would be changed, so that a ukey is asked?")),
    ),
    see=("ukey status", "pam_ukey(8)"),
    subcommands=(
        ("check", N_("who gets in by which PAM stack, and what is wrong with it")),
        ("try", N_("try a login by the real stack, without a session")),
        ("enable", N_("have PAM ask for the ukey, after it is known to be safe")),
        ("disable", N_("have PAM no longer ask for the ukey")),
    ),
    usage=("ukey pam SUBCOMMAND ...", "ukey pam SUBCOMMAND --help"),
)

GROUP = Group("ukey pam", __name__, MANUAL)
