# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey revocation SUBCOMMAND``: the keys that are refused for good."""

from __future__ import annotations

from tools.group import Group
from tools.language import N_
from tools.manual import Manual

MANUAL = Manual(
    section=8,
    summary=N_("Show the keys that are revoked on this host, and take a revocation back."),
    about=N_(
        "'rmpubkey --force' revokes a key. 'ukey revocation SUBCOMMAND --help' explains each, with "
        "examples."
    ),
    examples=(("ukey revocation list", N_("which keys are refused, and since when?")),),
    see=("rmpubkey", "usbkey(5)"),
    subcommands=(
        ("list", N_("the keys that this host refuses for good")),
        ("undo", N_("let a revoked key be bound again")),
    ),
    usage=("ukey revocation SUBCOMMAND ...", "ukey revocation SUBCOMMAND --help"),
)

GROUP = Group("ukey revocation", __name__, MANUAL)
