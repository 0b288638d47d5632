# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Files that a test changes, put back as they were when it ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """`path` as a folder; it and its parents are removed at the end, if this made them."""
    made = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        for each in made:
            each.rmdir()


class Restorer:
    """Remembers each path as it is when it is first announced."""

    def __init__(self) -> None:
        #: content, mode, time of change in ns; None where there was nothing
        self._before: dict[Path, tuple[bytes, int, int] | None] = {}

    def announce(self, path: Path) -> Path:
        """A file is going to be changed, created or removed. Returns the path."""
        if path not in self._before:
            seen = None
            if path.is_file():
                now = path.stat()
                seen = path.read_bytes(), now.st_mode & 0o7777, now.st_mtime_ns
            self._before[path] = seen
        return path

    def write(self, path: Path, content: str, mode: int = 0o644) -> Path:
        self.announce(path).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def restore(self) -> None:
        for path, seen in self._before.items():
            if seen is not None:
                path.write_bytes(seen[0])
                path.chmod(seen[1])
                os.utime(path, ns=(seen[2], seen[2]))
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self._before.clear()


@dataclass(frozen=True)
class _File:
    content: bytes
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, path: Path) -> _File | None:
        """The file as it is now; None if it is no ordinary file."""
        if path.is_symlink() or not path.is_file():
            return None
        now = path.stat()
        return cls(path.read_bytes(), now.st_mode & 0o7777, now.st_uid, now.st_gid)

    def write(self, path: Path) -> None:
        path.write_bytes(self.content)
        os.chown(path, self.uid, self.gid)
        path.chmod(self.mode)


class Snapshot:
    """Folders of ordinary files, as they are when it is made."""

    def __init__(self, *folders: Path, leave_out: frozenset[Path] = frozenset()) -> None:
        self._folders = {folder: folder.stat().st_mode & 0o7777 for folder in folders}
        self._leave_out = leave_out
        self._files = self._now()

    def _now(self) -> dict[Path, _File | None]:
        return {
            path: _File.of(path)
            for folder in self._folders
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path not in self._leave_out
        }

    def changes(self) -> list[Path]:
        """The files that are new, gone or not as they were."""
        now, before = self._now(), self._files
        changed = {path for path, _ in now.items() ^ before.items()}
        for folder, mode in self._folders.items():
            if not folder.is_dir() or folder.stat().st_mode & 0o7777 != mode:
                changed.add(folder)
        return sorted(changed)

    def restore(self) -> None:
        """Files that were left out are removed."""
        for folder, mode in self._folders.items():
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
            empty(folder)
        for path, file in self._files.items():
            assert file is not None, f"{path} was no ordinary file"
            file.write(path)


def empty(directory: Path) -> None:
    """Remove everything in `directory`, not itself."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
