# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The host's users, made by useradd and gone when the test ends."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .process import must
from .restore import Restorer

_ACCOUNTS = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")


@dataclass(frozen=True)
class User:
    name: str
    password: str
    uid: int
    gid: int
    home: Path

    def authorize(self, folder: Path) -> Path:
        """A new ssh key that sshd accepts for this user; returns the private key's file."""
        key = folder / f"{self.name}.key"
        must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        ssh = self.home / ".ssh"
        ssh.mkdir(mode=0o700)
        shutil.copy(key.with_suffix(".key.pub"), ssh / "authorized_keys")
        for path in (ssh, ssh / "authorized_keys"):
            shutil.chown(path, self.uid, self.gid)
        return key


class People:
    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer
        self._homes: list[Path] = []

    def add(
        self, name: str, password: str, *, groups: Sequence[str] = (), shell: str = "/bin/sh"
    ) -> User:
        """A user with a home directory. Groups that are missing are made."""
        self.announce()
        for group in groups:
            must(["groupadd", "--force", group])
        hashed = must(["openssl", "passwd", "-6", "-stdin"], input=password + "\n").strip()
        command = ["useradd", "--create-home", "--shell", shell, "--password", hashed]
        must([*command, "--groups", ",".join(groups), name])
        entry = pwd.getpwnam(name)
        home = Path(entry.pw_dir)
        self._homes.append(home)
        # A login shell says who it is, and ends: programs.py recognises a login by that.
        profile = home / ".profile"
        profile.write_text('[ -t 0 ] && echo "in:$(id -un)" && exit 0\n')
        return User(name, password, entry.pw_uid, entry.pw_gid, home)

    def announce(self) -> None:
        """Announce that the files of people and groups are going to be changed."""
        for file in _ACCOUNTS:
            for name_or_backup in (file, f"{file}-"):
                self._restorer.announce(Path("/etc", name_or_backup))

    def close(self) -> None:
        for home in self._homes:
            shutil.rmtree(home, ignore_errors=True)
