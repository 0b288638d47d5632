# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``users-may``: whether the configuration leaves readers to users.

A systemd generator asks about pcscd, at every boot and daemon-reload, and a udev rule about each
reader that appears. Both ask before anything of ours runs, so this program starts nothing, asks
nobody, and imports only the configuration.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from keyservice.config import load
from keyservice.contract.names import CONFIG_FILE
from keyservice.core.errors import ConfigurationError

USAGE = f"""\
usage: users-may pcscd
       users-may usb VVVV:PPPP

Whether {CONFIG_FILE} leaves to users
  pcscd            its socket: shared_pcsc = true
  usb VVVV:PPPP    the reader with this USB vendor and product, four lower-case hexadecimal digits
                   each: shared_pcsc = true, or none of readers.usb fits

Exit status: 0 they may; 1 they may not, or the configuration is wrong, and standard error says
what; 2 wrong usage.
"""
YES, NO, WRONG_USAGE = 0, 1, 2

_USB_ID = re.compile("[0-9a-f]{4}:[0-9a-f]{4}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; whatever goes wrong, the answer is that users may not."""
    match sys.argv[1:] if arguments is None else arguments:
        case ["--help"]:
            print(USAGE, end="")
            return YES
        case ["pcscd"]:
            usb = None
        case ["usb", given] if _USB_ID.fullmatch(given):
            usb = given
        case _:
            print(USAGE, end="", file=sys.stderr)
            return WRONG_USAGE
    try:
        config = load(Path(CONFIG_FILE), required=False, trusted=True)
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)
        return NO
    if config.rules.shared_pcsc or (usb is not None and not config.readers.closes(usb)):
        return YES
    return NO
