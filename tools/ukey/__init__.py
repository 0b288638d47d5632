# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey SUBCOMMAND``: one file each, or a package of them."""

from __future__ import annotations

from tools.command import run
from tools.group import Group
from tools.language import N_
from tools.manual import Manual

MANUAL = Manual(
    summary=N_("Look at ukeys, bindings and the keyservice."),
    about=N_("'ukey SUBCOMMAND --help' explains each, with examples."),
    examples=(
        ("ukey list", N_("is my ukey seen, and how many tries has its PIN left?")),
        ("ukey bindings --json", N_("all bindings, for a program")),
        ("ukey status", N_("why does a login fail? begin here")),
    ),
    see=("getpubkey", "rmpubkey", "chpinpw", "keyservice(8)", "pam_ukey(8)"),
    # In the order of the help: what is there, who owns it, what is refused, the service, PAM.
    subcommands=(
        ("list", N_("the ukeys that are in readers now")),
        ("bindings", N_("which ukey is bound to whom")),
        ("ssh-key", N_("the ssh keys that let people in from afar")),
        ("revocation", N_("the keys that this host refuses for good")),
        ("forget", N_("forget that a user had a ukey")),
        ("accept-state", N_("take what is kept on this host for right, whatever was lost")),
        ("throttle", N_("end the pause after wrong PINs")),
        ("status", N_("how the keyservice is, and what its configuration allows")),
        ("probe", N_("why is a ukey not recognised, or not used?")),
        ("watch", N_("tell of each insertion and removal as it happens")),
        ("pam", N_("who gets in by which PAM stack, and whether it asks for a ukey")),
    ),
    usage=("ukey SUBCOMMAND ...", "ukey SUBCOMMAND --help"),
)

GROUP = Group("ukey", __name__, MANUAL)


def main() -> None:
    run(GROUP.command)
