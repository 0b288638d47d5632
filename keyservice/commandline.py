# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line of ``keyservice``: the source of its ``--help`` and of its manual page."""

from __future__ import annotations

import argparse
from enum import IntEnum

from keyservice import __version__
from keyservice.contract.names import CONFIG_FILE, RUN_DIR


class Exit(IntEnum):
    """How the program ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 78  #: sysexits.h, EX_CONFIG


MEANINGS: dict[Exit, str] = {
    Exit.OK: "stopped when told to, or the configuration is right, or what is kept was looked at",
    Exit.FAILED: "it cannot serve; the log says why; or what is kept is damaged or gone",
    Exit.USAGE: "wrong command line",
    Exit.CONFIGURATION: "the configuration is wrong",
}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="keyservice",
        description="Answers PAM modules and tools: who may log in with which ukey. Runs as root.",
        epilog="Exit status: "
        + "; ".join(f"{int(status)} {text}" for status, text in MEANINGS.items())
        + ".",
        allow_abbrev=False,
    )
    out.add_argument(
        "--version",
        action="version",
        version=f"keyservice {__version__}",
        help="print the version and end",
    )
    out.add_argument(
        "--config",
        metavar="FILE",
        default=CONFIG_FILE,
        help="read the configuration from FILE; default: %(default)s",
    )
    out.add_argument(
        "--socket-dir",
        metavar="DIR",
        default=RUN_DIR,
        help="where to make root.sock and user.sock, unless they are handed over"
        " (LISTEN_FDS); default: %(default)s",
    )
    out.add_argument(
        "--check-config",
        nargs="?",
        const="",
        metavar="FILE",
        help="say what the service would find wrong: in FILE (default: the configuration in use),"
        " on this host, and for root with records and state; which lines have no effect, and which"
        " SM2 engine works; and end",
    )
    out.add_argument(
        "--check-state",
        action="store_true",
        help="print what is damaged or gone of records, revocations and what else is kept, a line"
        " for each, and end",
    )
    out.add_argument(
        "--accept-state",
        action="store_true",
        help="take all of that for right as it is, print what was damaged or gone, and end; for"
        " when the service cannot run: else ukey accept-state has it done",
    )
    out.add_argument(
        "--json",
        action="store_true",
        help="with these two, for programs: print a JSON object for each, on a line of its own",
    )
    return out
