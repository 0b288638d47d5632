# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who opens what under some folders, and how some programs start, seen from outside by fanotify."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import Daemon, must

_PROGRAM = Path(__file__).with_name("fanotify.py")


@dataclass(frozen=True)
class Opening:
    """One file was opened, or executed."""

    path: str  #: as whoever opened it sees it, in its own mount namespace
    device: int  #: the file system's, as in st_dev
    program: str
    euid: int
    executed: bool
    ancestors: tuple[int, ...]  #: pid of who opened it, of its parent, and so on
    #: if executed: limits, signals and so on that the program starts with, as proc(5) has them
    inherited: Mapping[str, str]

    @classmethod
    def of(cls, line: bytes) -> Opening:
        said = json.loads(line)
        return cls(**said | {"ancestors": tuple(said["ancestors"])})


class Watcher:
    """Watches whole file systems, each mounted at one of `folders`, and starts of `programs`."""

    def __init__(self, folders: Sequence[Path], programs: Sequence[Path], log: Path) -> None:
        self.folders = tuple(folders)
        self._seen: list[Opening] = []
        self._read = len("watching\n")
        self._lock = threading.Lock()
        self._daemon = Daemon([sys.executable, "-I", _PROGRAM, *folders, "--", *programs], log)
        self._daemon.wait_ready(lambda: log.read_text().startswith("watching\n"))

    def openings(self) -> list[Opening]:
        """All that were allowed so far, in order; what the test itself opened is left out."""
        with self._lock, self._daemon.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                opening = Opening.of(line)
                if opening.ancestors[0] != os.getpid():
                    self._seen.append(opening)
            return list(self._seen)

    def forget(self) -> None:
        """From now on, report what comes."""
        self.openings()
        with self._lock:
            self._seen.clear()

    def by_root(self, folder: Path) -> list[Opening]:
        """What was opened on the file system at `folder` while the euid was 0: none is right."""
        device = folder.stat().st_dev
        return [each for each in self.openings() if each.euid == 0 and each.device == device]

    def start_of(self, pid: int, program: Path) -> Opening | None:
        """How the process, or a child, executed `program`; the kernel may have refused later."""
        starts = (each for each in self.openings() if each.executed and each.path == str(program))
        return next((each for each in starts if pid in each.ancestors), None)

    def close(self) -> None:
        """End it, having seen that it watches to the end."""
        try:
            for folder in self.folders:
                must(["ls", folder])
                last = self.openings()[-1]
                assert (last.path, last.program, last.euid) == (str(folder), "ls", 0), last
        finally:
            self._daemon.kill()


@contextlib.contextmanager
def own_mount(folder: Path, *, uid: int = 0) -> Iterator[Path]:
    """`folder`, made if need be, is a file system of its own inside."""
    folder.mkdir(parents=True, exist_ok=True)
    must(["mount", "-t", "tmpfs", "-o", f"mode=755,uid={uid},gid={uid}", "hostile", folder])
    try:
        yield folder
    finally:
        must(["umount", "--lazy", folder])
