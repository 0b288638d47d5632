# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``glass-console``: whether break-glass may open on a terminal other than tty1 to tty63.

The gate asks when everything may be down: so this program starts nothing, asks nobody, and imports
only the reader of the consoles' configuration and the rule of ``consoles``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from keyservice.access.consoles import LOGIN, is_console, is_virtual
from keyservice.contract.names import CONFIG_FILE
from keyservice.core.errors import ConfigurationError
from keyservice.glass import load_glass

USAGE = f"""\
usage: glass-console TTY

Whether login may open the glass on TTY: a console by locality.ttys in {CONFIG_FILE}, unless
breakglass.serial = false keeps all but tty1 to tty63 out.

Exit status: 0 it may; 1 it is no console; 2 wrong usage; 3 it is kept out; 4 the configuration
cannot be read, and standard error says why.
"""
YES, NO, WRONG_USAGE, KEPT_OUT, CONFIGURATION = range(5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; whatever goes wrong, break-glass does not open."""
    match sys.argv[1:] if arguments is None else arguments:
        case ["--help"]:
            print(USAGE, end="")
            return YES
        case [tty]:
            pass
        case _:
            print(USAGE, end="", file=sys.stderr)
            return WRONG_USAGE
    try:
        glass = load_glass(Path(CONFIG_FILE))
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)
        return CONFIGURATION
    if not is_console(tty, LOGIN, glass.ttys):
        return NO
    return YES if glass.serial or is_virtual(tty) else KEPT_OUT
