# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host as these checks see it: its files, and its own programs, each with a deadline."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from keyservice.contract.names import RECORDS_DIR
from tools.language import _

from ..finding import Finding, Severity
from ..reading import Unreadable, others_may_write, read

#: The environment that programs run in: nothing of the caller's.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
#: Where programs are looked for.
FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")
#: Seconds that a program may take.
DEADLINE = 10
#: Bytes of a file that are read. A configuration is shorter.
_LARGEST = 1 << 22


class NotLooked(Exception):
    """A way that could not be looked at; `place` is the file or program that it is about."""

    def __init__(self, place: str, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.place, self.reason, self.remedy = place, reason, remedy


class NotThere(NotLooked):
    """A way that this host does not have: nothing is open that was not seen."""


def not_looked_at(name: str, why: NotLooked) -> Finding:
    """The finding that `name` was not looked at: silence would say that it is shut. One of the
    kind ``not-looked-at`` may hide a way that is open."""
    return Finding(
        "not-there" if isinstance(why, NotThere) else "not-looked-at",
        Severity.NOTE,
        why.place,
        _("Not looked at: {way} ({reason}).").format(way=name, reason=why.reason),
        why.remedy,
    )


@dataclass(frozen=True)
class Ran:
    """A program's output, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The first line on its standard error."""
        return next((line.strip() for line in self.err.splitlines() if line.strip()), "")


class System:
    """The host whose files are below `root`. Names are absolute, as that host has them."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where the host's file `name` is."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def read(self, name: str) -> str | None:
        """The text of a regular file; None where there is none. Never blocks on a pipe."""
        path = self.path(name)
        try:
            return read(path, _LARGEST, kernels=True).decode("utf-8", "replace")
        except Unreadable as error:
            if error.missing or error.irregular:
                return None
            if error.number == errno.EFBIG:
                raise NotLooked(name, _("it is too long")) from None
            raise OSError(error.number, os.strerror(error.number), str(path)) from None

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a file, stripped, with their numbers; without empty ones and comments."""
        for number, line in enumerate((self.read(name) or "").splitlines(), 1):
            text = line.strip()
            if text and text[0] not in "#;":
                yield number, text

    def glob(self, pattern: str) -> list[str]:
        """The names that match, sorted; two stars are one, as in glob(7)."""
        relative = re.sub(r"\*+", "*", pattern.lstrip("/"))
        if "\0" in pattern or ".." in Path(relative).parts or not relative:
            return []
        return sorted("/" + str(path.relative_to(self.root)) for path in self.root.glob(relative))

    def program(self, name: str) -> str | None:
        """The absolute name of a program of the host's."""
        for folder in FOLDERS:
            path = self.path(f"{folder}/{name}")
            if path.is_file() and os.access(path, os.X_OK):
                return f"{folder}/{name}"
        return None

    def run(self, program: str, *arguments: str, seconds: float = DEADLINE) -> Ran:
        """Run one of the host's programs to its end. Raises :class:`NotLooked` at the deadline,
        and where an image has a program that others than root can have made."""
        command = [program, *arguments]
        if self.root != Path("/"):
            if os.geteuid() == 0 and not roots_own(self.path(program)):
                raise NotLooked(program, _("root runs no program of somebody else's"))
            command = ["/usr/sbin/chroot", str(self.root), *command]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                env=ENVIRONMENT,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired:
            reason = _("it did not end within {count} s").format(count=int(seconds))
            raise NotLooked(program, reason) from None
        return Ran(
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"),
        )

    # -- people

    def passwd(self) -> list[list[str]]:
        """The rows of /etc/passwd: name, password, uid, gid, …"""
        return self._rows("/etc/passwd", 7)

    def group(self, pattern: str) -> list[str]:
        """The members of the groups whose names match: as this host's files say, and, on a host
        that runs, its directory too."""
        rows = [row for row in self._rows("/etc/group", 4) if fnmatchcase(row[0], pattern)]
        members = [member for row in rows for member in row[3].split(",") if member]
        gids = {row[2] for row in rows}
        members += [row[0] for row in self.passwd() if row[3] in gids]
        if self.root == Path("/"):
            with suppress(KeyError, ValueError):
                members += grp.getgrnam(pattern).gr_mem
        return list(dict.fromkeys(members))

    def groups_of(self, user: str) -> list[str]:
        """The names of the groups that a user is in, as sshd takes them."""
        rows = self._rows("/etc/group", 4)
        gids = {row[3] for row in self.passwd() if row[0] == user}
        found = [row[0] for row in rows if row[2] in gids or user in row[3].split(",")]
        if self.root == Path("/"):
            with suppress(KeyError, ValueError, OSError):
                numbers = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
                found += [grp.getgrgid(number).gr_name for number in numbers]
        return list(dict.fromkeys(found))

    def bound(self) -> list[str]:
        """The users who have a ukey, as far as the records can be listed."""
        with suppress(OSError):
            files = sorted(os.listdir(self.path(RECORDS_DIR)))  # noqa: PTH208
            return [unquote(file) for file in files if not file.startswith(".")]
        return []

    def _rows(self, name: str, fields: int) -> list[list[str]]:
        rows = [line.split(":") for _number, line in self.lines(name)]
        return [row for row in rows if len(row) == fields]


def roots_own(path: Path) -> bool:
    """Whether only root can have put the file there: it and each folder above it are root's."""
    path = path.resolve()
    ways = (path, *path.parents)
    return not any(others_may_write(each.stat(), root_group=False) for each in ways)
