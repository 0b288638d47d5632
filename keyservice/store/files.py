# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Private files of root, in one folder: read only if they can be trusted, written whole or not at
all.

Every access opens the folder again by its path, so that a folder put back from a backup is seen,
and reaches files through the folder's descriptor without following links.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.core.errors import RecordDamaged, StoreFailed
from keyservice.core.reasons import Fact, Reason, system

#: The prefix of a file that is being written. No record's name begins with a dot.
_UNFINISHED = ".unfinished-"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = 0


class Taken(Exception):
    """A file of that name exists already."""


@dataclass(frozen=True, slots=True)
class PrivateDirectory:
    """A directory of mode 0700 that belongs to root; its files are 0600 and root's."""

    path: Path
    #: The folder's device and inode when it was made ready.
    _first: list[tuple[int, int]] = field(default_factory=list, compare=False, repr=False)

    @property
    def there(self) -> bool:
        """Whether something has the folder's name."""
        return os.path.lexists(self.path)

    @property
    def stale(self) -> bool:
        """Whether another folder has the name now, and cannot be written to: the service's own
        view of the host shows what is mounted there at its start."""
        return self._replaced() and not os.access(self.path, os.W_OK)

    def prepare(self) -> list[str]:
        """Make the folder if it is missing; remove what a killed writer left behind.

        For the service's start, while no one else writes. Returns the names removed.
        """
        with self._failures("prepare"):
            with suppress(FileExistsError):
                self.path.mkdir(0o700)
            with self._opened() as folder:
                found = os.fstat(folder)
                if not self._first:
                    self._first.append((found.st_dev, found.st_ino))
                left = [name for name in _list(folder) if name.startswith(_UNFINISHED)]
                for name in left:
                    os.unlink(name, dir_fd=folder)
                os.fsync(folder)
                return left

    def sync(self) -> None:
        """Make the new files in it outlive a power cut."""
        with self._failures("write"), self._opened() as folder:
            os.fsync(folder)

    def names(self) -> list[str]:
        """The names of all files but hidden ones, sorted."""
        with self._failures("list"), self._opened() as folder:
            return sorted(name for name in _list(folder) if not name.startswith("."))

    def read(self, name: str, limit: int, *, trusted: bool = True) -> bytes | None:
        """The content of a file of at most `limit` bytes, None if there is none.

        Raises :class:`RecordDamaged` for a file that is a link, no regular file, too large or, if
        it is to be `trusted`, not root's or open to others; :class:`StoreFailed` when the disk
        fails.
        """
        with self._failures("read", name), self._opened() as folder:
            try:
                file = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError:
                return None
            except OSError as error:
                if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
                    raise self.damaged(name, Reason.LINK) from error
                raise
            try:
                self._check(name, file, limit, trusted)
                return _read_all(name, file, limit, self)
            finally:
                os.close(file)

    def create(self, name: str, content: bytes) -> None:
        """Write a new file. Raises :class:`Taken` rather than touch one that exists."""
        with self._failures("write", name), self._opened() as folder:
            unfinished = self._write(folder, content)
            try:
                os.link(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                raise Taken(name) from None
            finally:
                os.unlink(unfinished, dir_fd=folder)
            os.fsync(folder)

    def replace(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Write a file. It replaces one that may be there.

        Without `sync` it outlives this process, but not a power cut, which may leave it empty.
        """
        with self._failures("write", name), self._opened() as folder:
            unfinished = self._write(folder, content, sync=sync)
            try:
                os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(unfinished, dir_fd=folder)
                raise
            if sync:
                os.fsync(folder)

    def move(self, name: str, folder: PrivateDirectory) -> None:
        """Move a file into another folder of this disk. It replaces one that may be there.

        A missing file is no error.
        """
        with self._failures("move", name), self._opened() as old, folder._opened() as new:
            with suppress(FileNotFoundError):
                os.rename(name, name, src_dir_fd=old, dst_dir_fd=new)
            os.fsync(new)
            os.fsync(old)

    def remove(self, name: str) -> None:
        """Remove a file; a missing file is no error."""
        with self._failures("remove", name), self._opened() as folder:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def damaged(self, name: str, why: Fact, /, **facts: Fact) -> RecordDamaged:
        """The error for a file that cannot be trusted: `why` is a :class:`Reason`."""
        path, why = f"{self.path}/{name}", str(why)
        return RecordDamaged("A record cannot be trusted", path=path, why=why, **facts)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(folder)
            if found.st_uid != _ROOT or found.st_mode & 0o077:
                raise RecordDamaged(
                    "The folder of the records cannot be trusted",
                    path=str(self.path),
                    why=Reason.FOLDER.value,
                )
            yield folder
        finally:
            os.close(folder)

    def _check(self, name: str, file: int, limit: int, trusted: bool) -> None:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise self.damaged(name, Reason.NO_FILE)
        if trusted and found.st_uid != _ROOT:
            raise self.damaged(name, Reason.OWNER, uid=found.st_uid)
        if trusted and found.st_mode & 0o077:
            mode = f"{found.st_mode & 0o777:04o}"
            raise self.damaged(name, Reason.MODE, mode=mode)
        if found.st_size > limit:
            raise self.damaged(name, Reason.SIZE, size=found.st_size, limit=limit)

    def _write(self, folder: int, content: bytes, *, sync: bool = True) -> str:
        """A finished file under a temporary name; with `sync` it is on the disk."""
        name = _UNFINISHED + secrets.token_hex(8)
        file = os.open(name, _CREATE, 0o600, dir_fd=folder)
        try:
            try:
                _write_all(file, content)
                if sync:
                    os.fsync(file)
            finally:
                os.close(file)
        except OSError:
            os.unlink(name, dir_fd=folder)
            raise
        return name

    @contextmanager
    def _failures(self, doing: str, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = f"{self.path}/{name}" if name else str(self.path)
            why: str = system(error)
            if error.errno == errno.EROFS and self._replaced():
                path, why = str(self.path), Reason.REPLACED.value
            raise StoreFailed(f"Cannot {doing} a record", path=path, why=why) from error

    def _replaced(self) -> bool:
        try:
            found = self.path.stat()
        except OSError:
            return False
        return bool(self._first) and (found.st_dev, found.st_ino) not in self._first


def _list(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _read_all(name: str, file: int, limit: int, folder: PrivateDirectory) -> bytes:
    parts, size = [], 0
    while part := os.read(file, 65536):
        parts.append(part)
        size += len(part)
        if size > limit:  # it grew after fstat
            raise folder.damaged(name, Reason.GROWN, limit=limit)
    return b"".join(parts)


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
