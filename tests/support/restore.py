# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Files that a test changes, put back as they were when it ends."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


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


def empty(directory: Path) -> None:
    """Remove everything in `directory`, not itself."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
