# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The command line of scripts/install."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import InstallError
from .place import Root
from .stage import EXAMPLES, check_python, stage

CHECKOUT = Path(__file__).resolve().parents[3]
START = "systemctl enable --now ukey-keyservice.socket ukey-keyservice-user.socket ukey-keyservice"
DONE = f"""\
pam-ukey is installed. No PAM stack was changed. Next:
  {START}
  getpubkey USER     bind a ukey to a user
  /{EXAMPLES}     stacks for login, su and sshd; read its README first
"""


def main(arguments: Sequence[str]) -> int:
    """Install or uninstall. Returns the exit status: 0, or 1 with a sentence on stderr."""
    given = parser().parse_args(arguments)
    os.umask(0o022)
    try:
        if given.root == Path("/") and os.geteuid() != 0:
            raise InstallError("only root can do this; --root DIR stages a package as anybody")
        if given.package and given.root == Path("/"):
            raise InstallError("--package is for a package's directory: --root names it")
        root = Root(given.root)
        if given.uninstall:
            root.uninstall()
        else:
            check_python()
            if not given.package:
                root.refuse_a_package_s()
            with tempfile.TemporaryDirectory() as staged:
                packaged = given.package
                stage(
                    CHECKOUT, Path(staged), given.wheels, compiled=not packaged, gmssl=given.gmssl
                )
                root.install(Path(staged), listed=not packaged)
            if given.root == Path("/"):
                print(DONE, end="")
                if Path("/run/ukey/root.sock").exists():
                    root.notes.append("the keyservice that runs is the old one: restart it")
    except (InstallError, OSError) as error:
        print(f"scripts/install: {error}", file=sys.stderr)
        return 1
    for note in root.notes:
        print(f"scripts/install: {note}", file=sys.stderr)
    return 0


def parser() -> argparse.ArgumentParser:
    given = argparse.ArgumentParser(
        prog="scripts/install",
        description="Install pam-ukey from this checkout. Installing again updates it.",
        epilog="It needs gcc, make, libpam0g-dev and gettext to build; to run, python3-pyscard, "
        "python3-cryptography, python3-jeepney, libseccomp2, pcscd and dbus. "
        "No PAM stack is changed.",
    )
    given.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="place everything below DIR",
    )
    given.add_argument(
        "--wheels",
        type=Path,
        metavar="DIR",
        help="take the vendored wheels from DIR, not the index",
    )
    given.add_argument(
        "--gmssl",
        action="store_true",
        help="bring gmssl too, for hosts whose OpenSSL has no SM2 (RHEL, Fedora); it needs "
        "python3-pycryptodomex",
    )
    given.add_argument(
        "--package",
        action="store_true",
        help="lay out a package: no byte code, which belongs to the host's Python, and no list of "
        "what was placed, which the package manager keeps",
    )
    given.add_argument(
        "--uninstall",
        action="store_true",
        help="remove what was placed; bindings, state and an edited configuration stay",
    )
    return given
