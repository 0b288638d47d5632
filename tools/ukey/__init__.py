# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey SUBCOMMAND``: one file each, imported only when it is the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from tools.command import run
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser

#: In the order of the help: what is there, who owns it, what is refused, the service.
SUBCOMMANDS: dict[str, str] = {
    "list": N_("the ukeys that are in readers now"),
    "bindings": N_("which ukey is bound to whom"),
    "revoked": N_("the keys that this host refuses for good"),
    "unrevoke": N_("let a revoked key be bound again"),
    "forget": N_("forget that a user had a ukey"),
    "accept-state": N_("take what is kept on this host for right, whatever was lost"),
    "throttle": N_("end the pause after wrong PINs"),
    "status": N_("how the keyservice is, and what its configuration allows"),
    "try-login": N_("try a login by the real stack, without a session"),
    "watch": N_("tell of each insertion and removal as it happens"),
    "check-pam": N_("who gets in by which PAM stack, and what is wrong with it"),
}

MANUAL = Manual(
    summary=N_("Look at ukeys, bindings and the keyservice."),
    about=N_("'ukey SUBCOMMAND --help' explains each, with examples."),
    examples=(
        ("ukey list", N_("is my ukey seen, and how many tries has its PIN left?")),
        ("ukey bindings --json", N_("all bindings, for a program")),
        ("ukey status", N_("why does a login fail? begin here")),
    ),
    see=("getpubkey", "rmpubkey", "chpinpw", "keyservice(8)", "pam_ukey(8)"),
    subcommands=tuple(SUBCOMMANDS.items()),
    usage=("ukey SUBCOMMAND ...", "ukey SUBCOMMAND --help"),
)


def parser() -> Parser:
    out = Parser("ukey", MANUAL)
    out.add_argument(
        "subcommand", metavar="SUBCOMMAND", choices=SUBCOMMANDS, help=_("one of those below")
    )
    return out


def load(subcommand: str) -> ModuleType:
    """The subcommand's module: its ``parser()`` and its ``command(arguments)``."""
    return import_module(f"{__name__}.{subcommand.replace('-', '_')}")


def command(arguments: Sequence[str]) -> Exit:
    if arguments and arguments[0] in SUBCOMMANDS:
        status = load(arguments[0]).command(arguments[1:])
        assert isinstance(status, Exit)
        return status
    given = parser()
    if not arguments:
        given.error(_("say which subcommand"))
    given.parse_args(arguments)
    raise AssertionError("argparse accepts subcommands only")


def main() -> None:
    run(command)
