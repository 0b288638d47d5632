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
from .keys import NAMES
from .state import StateFile
from .steered import Steered

VPCD_PORT = 35963


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. `argv` without the program's name."""
    options = _parser().parse_args(argv)
    try:
        return _init(options) if options.command == "init" else _run(options)
    except StateError as error:
        print(f"pivcard: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pivcard", description="An emulated PIV card.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="make a card")
    init.add_argument("state")
    init.add_argument("--serial")
    init.add_argument("--plain", action="store_true", help="as the standard has it, and no more")
    init.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="SLOT=ALGORITHM",
        help="such as 9A=p256; algorithms: " + ", ".join(NAMES),
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
    pairs = dict(pair.split("=", 1) for pair in options.pair)
    made = state.new(serial=options.serial, vendor=not options.plain, pairs=pairs)
    StateFile(options.state).create(made)
    print(f"pivcard: made the card {made.serial} in {options.state}")
    return 0


def _run(options: argparse.Namespace) -> int:
    file = StateFile(options.state)
    runner = Runner(file.path, lambda: Steered(file), (options.host, options.port))
    if options.inserted:
        runner.insert()
    runner.run()
    return 0
