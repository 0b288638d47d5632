# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Files of /etc/pam.d: read, kept, and replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

#: Not below /etc/pam.d, where libpam would find them and copies of copies would nest.
BACKUPS = Path("/var/backups/ukey")


class Changed(Exception):
    """A file is not what was looked at."""


@dataclass(frozen=True)
class Change:
    file: Path
    before: bytes
    after: bytes

    def diff(self) -> str:
        old, new = (
            text.decode(errors="backslashreplace").splitlines(keepends=True)
            for text in (self.before, self.after)
        )
        lines = unified_diff(old, new, f"{self.file}", f"{self.file} (new)")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def look(file: Path) -> bytes:
    """The content of a plain file of root's. Raises ``OSError``: of a link, say, which may lead
    out of the folder."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        return opened.read()


@contextmanager
def locked(backups: Path) -> Iterator[None]:
    """One at a time. Raises ``BlockingIOError``.

    By the folder of the backups, which root alone can open: what others may read, as /etc/pam.d,
    they may lock as well, for as long as they like.
    """
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(backups, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o700)
        flock(descriptor, LOCK_EX | LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def keep(files: Sequence[Path], backups: Path, now: datetime, what: str = "pam.d") -> Path:
    """Copy `files`, of the folder `what`, into a new folder of that time, which only root can
    enter; on the disk when this returns."""
    name = f"{what}-{now:%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = backups / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            break
    for file in files:
        copy = folder / file.name
        shutil.copy2(file, copy)
        _own_as(file, copy)
        _sync(copy)
    for each in (folder, backups, backups.parent):
        _sync(each)
    return folder


def undo(backup: Path, folder: Path) -> str:
    """The command that puts a backup back, with nothing of ours: it is for a rescue shell too.

    Not of the folder itself, as ``cp -a BACKUP/.`` would: nobody but root could read the stacks.
    """
    return f"cp -a {shlex.quote(str(backup))}/* {shlex.quote(str(folder))}/"


def replace(change: Change) -> None:
    """Write it, on the disk when this returns. Killed at any point, the file is the old one or the
    new one. Raises :class:`Changed` and ``OSError``."""
    file = change.file
    new = file.parent / f".{file.name}.ukey-new"  # libpam looks for no such name
    with suppress(FileNotFoundError):
        new.unlink()  # of a run that was killed
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "wb") as opened:
            opened.write(change.after)
        shutil.copystat(file, new, follow_symlinks=False)  # with its SELinux label
        os.utime(new)
        _own_as(file, new)
        _sync(new)
        if look(file) != change.before:
            raise Changed(str(file))
        new.rename(file)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    _sync(file.parent)


def _own_as(file: Path, copy: Path) -> None:
    status = file.stat()
    os.chown(copy, status.st_uid, status.st_gid)
    copy.chmod(stat.S_IMODE(status.st_mode))  # a change of owner takes bits away


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
