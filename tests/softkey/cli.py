# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line: make a softkey, run it, put it in and out of its reader."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from . import state
from .control import Control, ControlError, NotRunning
from .link import Link
from .misbehave import Faults
from .runner import Runner
from .state import StateError, StateFile
from .steered import Steered, describe
from .switches import add_options, from_options
from .traits import Traits
from .usbip import Usbip

VPCD_PORT = 35963

#: how long ``insert`` waits for pcscd, which polls its readers every 400 ms
SEEN_DEADLINE = 3.0

_TEACH = f"""\
A softkey is a ukey made of software: for tests and demonstrations, never for a real login,
since whoever reads its file has its keys.

  softkey init my.ukey --serial SK0001     make one
  softkey run my.ukey                      plug it into pcscd's virtual reader (port {VPCD_PORT});
                                           the second slot of the reader is port {VPCD_PORT + 1}
  softkey remove my.ukey                   pull it out, from another terminal
  softkey insert my.ukey                   put it back
  softkey status my.ukey                   what is on it, which tries are left, is it in
  softkey misbehave my.ukey --slow 500     answer half a second late; --help lists all it can do
  softkey behave my.ukey                   stop that

STATE can be left out where the environment has SOFTKEY_STATE. The PINs from the factory are
{state.FACTORY_PIN.decode()} (user) and {state.FACTORY_ADMIN_PIN.decode()} (administrator);
'init --pins' asks for others.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. `argv` without the program's name."""
    options = _parser().parse_args(argv)
    if not options.state:
        print("softkey: say which STATE file, or set SOFTKEY_STATE", file=sys.stderr)
        return 2
    try:
        result: int = options.run(options)
        return result
    except (StateError, ControlError) as error:
        print(f"softkey: {error}", file=sys.stderr)
        if isinstance(error, NotRunning):
            print(f"softkey: start it with 'softkey run {options.state}'", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"softkey: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="softkey",
        description="An emulated ukey (GM/T 0017-2012 command set, SM2).",
        epilog=_TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.add_argument(
            "state",
            nargs="?",
            default=os.environ.get("SOFTKEY_STATE"),
            metavar="STATE",
            help="the ukey's state file (default: $SOFTKEY_STATE)",
        )
        made.set_defaults(run=run)
        return made

    init = add("init", _init, "make a ukey")
    init.add_argument("--serial", help="up to 32 bytes (default: random)")
    init.add_argument("--label", default="softkey", help="up to 32 bytes")
    init.add_argument("--application", default="ukey", help="its application's name")
    init.add_argument(
        "--container", action="append", metavar="NAME", help="with a key pair (default: login)"
    )
    init.add_argument(
        "--empty-container", action="append", default=[], metavar="NAME", help="without one"
    )
    init.add_argument("--tries", type=int, default=state.TRIES, metavar="N", help="of the user PIN")
    init.add_argument(
        "--admin-tries", type=int, default=state.TRIES, metavar="N", help="of the admin PIN"
    )
    init.add_argument(
        "--pins",
        action="store_true",
        help="ask for the user and the admin PIN; two lines where input is not a terminal",
    )
    add_options(init.add_argument_group("how its make reads the standard"), Traits)

    run = add("run", _run, "be that ukey, in the foreground, until SIGTERM")
    run.add_argument("--host", default="127.0.0.1", help="of pcscd's virtual reader")
    run.add_argument("--port", type=_port, default=VPCD_PORT, help=f"default {VPCD_PORT}")
    run.add_argument(
        "--usbip",
        action="store_true",
        help="be a USB device instead: serve it at that address over USB/IP",
    )
    where = run.add_mutually_exclusive_group()
    where.add_argument("--inserted", action="store_true", default=True, help="the default")
    where.add_argument(
        "--removed", dest="inserted", action="store_false", help="wait for 'softkey insert'"
    )
    run.add_argument(
        "--sync", action="store_true", help="wait for the disk at each write, against power cuts"
    )
    add_options(run.add_argument_group("misbehave from the start"), Faults)

    add("insert", _insert, "put the ukey into its reader")
    add("remove", _remove, "pull the ukey out of its reader")
    status = add("status", _status, "show the ukey, its tries left, and whether it is in")
    status.add_argument("--json", action="store_true", help="for programs")
    misbehave = add("misbehave", _misbehave, "replace all misbehaviour by this")
    add_options(misbehave.add_argument_group("faults"), Faults)
    add("behave", _behave, "end all misbehaviour")
    return parser


def _init(options: argparse.Namespace) -> int:
    pin, admin_pin = _ask_pins() if options.pins else (None, None)
    made = state.new(
        serial=options.serial,
        label=options.label,
        pin=pin,
        admin_pin=admin_pin,
        tries=options.tries,
        admin_tries=options.admin_tries,
        application=options.application,
        containers=tuple(options.container or ([] if options.empty_container else ["login"])),
        empty_containers=tuple(options.empty_container),
        traits=Traits(**from_options(options, Traits)),
    )
    StateFile(options.state).create(made)
    print(f"softkey: made the ukey {made.serial} in {options.state}")
    return 0


def _ask_pins() -> tuple[bytes, bytes]:
    if sys.stdin.isatty():
        return getpass.getpass("User PIN: ").encode(), getpass.getpass("Admin PIN: ").encode()
    lines = sys.stdin.buffer
    return lines.readline().rstrip(b"\n"), lines.readline().rstrip(b"\n")


def _run(options: argparse.Namespace) -> int:
    try:
        address = (socket.gethostbyname(options.host), options.port)
    except OSError as error:
        raise StateError(f"{options.host}: {error.strerror}") from None
    reader = Usbip if options.usbip else Link
    file = StateFile(options.state, sync=options.sync)
    runner = Runner(file.path, lambda: Steered(file), address, reader=reader)
    runner.misbehave(from_options(options, Faults))
    if options.inserted:
        runner.insert()
    where = "inserted" if options.inserted else "removed"
    print(f"softkey: {runner.serial} {where}, reader {options.host}:{options.port}", flush=True)
    runner.run()
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 0xFFFF:
        raise ValueError
    return port


def _insert(options: argparse.Namespace) -> int:
    control = Control(options.state)
    control.insert()
    try:
        control.wait_inserted(SEEN_DEADLINE)
    except ControlError as error:
        reader = control.status()["reader"]
        raise ControlError(f"inserted, but no pcscd has looked at the reader {reader}") from error
    print("softkey: inserted")
    return 0


def _remove(options: argparse.Namespace) -> int:
    Control(options.state).remove()
    print("softkey: removed")
    return 0


def _misbehave(options: argparse.Namespace) -> int:
    switches = from_options(options, Faults)
    if not switches:
        print("softkey: say how; 'softkey misbehave --help' lists it", file=sys.stderr)
        return 2
    Control(options.state).misbehave(**switches)
    return 0


def _behave(options: argparse.Namespace) -> int:
    Control(options.state).behave()
    return 0


def _status(options: argparse.Namespace) -> int:
    try:
        status = Control(options.state).status()
    except NotRunning:
        status = describe(StateFile(options.state).load())
    print(json.dumps(status, ensure_ascii=False) if options.json else _show(status))
    return 0


def _show(status: dict[str, Any]) -> str:
    if not status["running"]:
        where = "not running"
    elif not status["inserted"]:
        where = f"removed from the reader {status['reader']}"
    else:
        where = f"inserted in the reader {status['reader']}"
        where += "" if status["seen"] else ", but no pcscd has looked yet"
    lines = [f"ukey         {status['serial']} ({status['label']})", f"reader       {where}"]
    for application in status["applications"]:
        lines.append(f"application  {application['name']}")
        for role in ("user", "admin"):
            pin = application[role]
            told = f"{pin['left']} of {pin['maximum']} tries left" if pin["left"] else "locked"
            told += ", as from the factory" if pin["default"] else ""
            lines.append(f"  {role + ' PIN':10} {told}")
        for container in application["containers"]:
            point = container["point"]
            held = f"SM2 key {point[:16]}…" if point else "empty"
            lines.append(f"  container  {container['name']}: {held}")
    for title in ("traits", "misbehaving"):
        for name, value in status.get(title, {}).items():
            lines.append(f"{title:12} {name.replace('_', '-')} {value}")
    return "\n".join(lines)
