# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real gpg, with scdaemon over pcscd, and a person at its pinentry."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

_PINENTRY = """#!/bin/sh
exec {python} -c '
import sys
admin = False
print("OK", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "SETDESC":
        admin = "Admin" in rest
    elif word == "GETPIN":
        print("D", sys.argv[2 if admin else 1])
    print("OK", flush=True)
    if word == "BYE":
        break
' {pin} {admin}
"""


class Gpg:
    """A gpg with a home of its own. `pin` and `admin` are what the person types."""

    def __init__(self, folder: Path, pin: str, admin: str) -> None:
        self._home = folder / "gnupg"
        self._home.mkdir(mode=0o700)
        pinentry = self._home / "pinentry"
        given = {"pin": pin, "admin": admin, "python": sys.executable}
        pinentry.write_text(_PINENTRY.format(**{k: shlex.quote(v) for k, v in given.items()}))
        pinentry.chmod(0o755)
        (self._home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\n")
        (self._home / "scdaemon.conf").write_text("disable-ccid\npcsc-shared\n")
        self._env = os.environ | {"GNUPGHOME": str(self._home), "LC_ALL": "C"}

    def run(self, *arguments: str, input: str = "") -> str:
        """What it says; it must succeed."""
        command = ["gpg", "--no-tty", *arguments]
        done = subprocess.run(
            command, input=input, capture_output=True, text=True, timeout=60, env=self._env
        )
        told = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {done.returncode}\n{told}"
        return told

    def card(self) -> dict[str, str]:
        """What --card-status says of the card."""
        lines = self.run("--card-status").splitlines()
        split = (line.split(":", 1) for line in lines if ":" in line)
        return {name.strip(" ."): value.strip() for name, value in split}

    def edit(self, *answers: str) -> str:
        """--card-edit, with a person who types these lines."""
        lines = "".join(f"{answer}\n" for answer in (*answers, "quit"))
        return self.run("--command-fd", "0", "--status-fd", "2", "--card-edit", input=lines)

    def make_keys(self) -> None:
        """On the card, for all three purposes, with no copy anywhere."""
        self.edit("admin", "generate", "n", "0", "y", "demo user", "demo@example.org", "", "o")

    def close(self) -> None:
        """Its daemons end, and let the card go."""
        command = ["gpgconf", "--kill", "all"]
        subprocess.run(command, capture_output=True, timeout=30, env=self._env, check=True)
