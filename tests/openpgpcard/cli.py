# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line: make a card, and be it in a virtual reader; tests steer it by its socket."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.softkey.runner import Runner
from tests.softkey.state import StateError

from . import state
from .attributes import NAMES
from .state import StateFile
from .steered import Steered

VPCD_PORT = 35963


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. `argv` without the program's name."""
    options = _parser().parse_args(argv)
    try:
        return _init(options) if options.command == "init" else _run(options)
    except StateError as error:
        print(f"openpgpcard: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openpgpcard", description="An emulated OpenPGP card.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="make a card")
    init.add_argument("state")
    init.add_argument("--serial", help="maker and number, 12 hexadecimal digits")
    init.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="SLOT=ALGORITHM",
        help="such as AUT=p256; algorithms: " + ", ".join(NAMES),
    )
    run = commands.add_parser("run", help="be that card, in the foreground, until SIGTERM")
    run.add_argument("state")
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", type=int, default=VPCD_PORT)
    where = run.add_mutually_exclusive_group()
    where.add_argument("--inserted", action="store_true", default=True, help="the default")
    where.add_argument("--removed", dest="inserted", action="store_false")
    return parser


def _init(options: argparse.Namespace) -> int:
    made = state.new(serial=options.serial, pairs=dict(pair.split("=", 1) for pair in options.pair))
    StateFile(options.state).create(made)
    print(f"openpgpcard: made the card {made.serial} in {options.state}")
    return 0


def _run(options: argparse.Namespace) -> int:
    file = StateFile(options.state)
    runner = Runner(file.path, lambda: Steered(file), (options.host, options.port))
    if options.inserted:
        runner.insert()
    runner.run()
    return 0
