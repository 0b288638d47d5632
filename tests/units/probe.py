# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tries what the unit takes from the keyservice, and says as JSON what became of each.

    python3 -m tests.units.probe HOME [confined]

HOME: somebody's. With `confined` as the unit has it (``confine``), else as any program of root's.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from keyservice.contract.names import RECORDS_DIR, STATE_DIR

from .confine import confine
from .unitfile import SERVICE, installed

#: A program that lies outside /usr.
PROGRAM = Path(STATE_DIR, "a-program")


def read(path: str | Path) -> None:
    if not Path(path).read_bytes():
        raise OSError(errno.ENODATA, "empty")


def look(folder: str | Path) -> None:
    if not list(Path(folder).iterdir()):
        raise OSError(errno.ENODATA, "empty")


def write(path: str | Path) -> None:
    """A new file, which goes again."""
    Path(path).touch(exist_ok=False)
    Path(path).unlink()


def run(program: Path) -> None:
    subprocess.run([program], check=True, timeout=10)


def socket_of(family: int) -> None:
    socket.socket(family, socket.SOCK_DGRAM).close()


def code_in_memory() -> None:
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    mmap.mmap(-1, mmap.PAGESIZE, prot=rights).close()


def attempts(home: str) -> dict[str, Callable[[], None]]:
    return {
        "write a record": lambda: write(Path(RECORDS_DIR, "probe")),
        "write state": lambda: write(Path(STATE_DIR, "probe")),
        "run a program of /usr": lambda: run(Path("/usr/bin/true")),
        "read /etc/shadow": lambda: read("/etc/shadow"),
        "look into /etc/ssh": lambda: look("/etc/ssh"),
        "look into a home": lambda: look(home),
        "write in /etc": lambda: write("/etc/probe"),
        "write in /usr": lambda: write("/usr/probe"),
        "run a program outside /usr": lambda: run(PROGRAM),
        "a socket of the network": lambda: socket_of(socket.AF_INET),
        "a socket of the kernel's": lambda: socket_of(socket.AF_NETLINK),
        "become somebody else": lambda: os.setresuid(1, 1, 1),
        "memory that is written and run": code_in_memory,
    }


def outcome(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main() -> None:
    home, *how = sys.argv[1:]
    tried = attempts(home)
    if how:
        confine(installed(SERVICE))
    else:
        del tried["become somebody else"]  # which it would be for the others
    print(json.dumps({name: outcome(attempt) for name, attempt in tried.items()}))


if __name__ == "__main__":
    main()
