# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A guest for a person at this terminal: ``python -m tests.guest BASE DISK [--no-selinux]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from .guest import SERIAL, Ukey, free_port
from .machine import Machine


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("base", type=Path)
    parser.add_argument("disk", type=Path)
    parser.add_argument("--no-selinux", dest="selinux", action="store_false")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ukey = Ukey(Path(folder, "guest.ukey"), SERIAL)
        try:
            made = Machine(options.base, options.disk, free_port(), ukey.port)
            command = made.command(["-serial", "mon:stdio"], selinux=options.selinux)
            return subprocess.run(command, check=False).returncode
        finally:
            ukey.close()


if __name__ == "__main__":
    sys.exit(main())
