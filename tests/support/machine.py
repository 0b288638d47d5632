# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The files, sockets and processes of a machine, to compare them before and after."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

#: file type and mode, owner, group, size, time of change in ns, link target
Entry = tuple[int, int, int, int, int, str]

_SOCKET_TABLES = ("tcp", "tcp6", "udp", "udp6", "unix")


def tree(*roots: str | os.PathLike[str], leave_out: Iterable[str] = ()) -> dict[str, Entry]:
    """Every file below `roots` with what can change of it. Directories have no size or time."""
    skipped = set(leave_out)
    found: dict[str, Entry] = {}
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if f"{folder}/{name}" not in skipped]
            for name in (*folders, *names):
                path = f"{folder}/{name}"
                seen = os.lstat(path)
                target = str(Path(path).readlink()) if stat.S_ISLNK(seen.st_mode) else ""
                own = (0, 0) if stat.S_ISDIR(seen.st_mode) else (seen.st_size, seen.st_mtime_ns)
                found[path] = (seen.st_mode, seen.st_uid, seen.st_gid, *own, target)
    return found


def differences(before: dict[str, Entry], after: dict[str, Entry]) -> list[str]:
    """The paths that are new, gone or changed."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def sockets() -> set[str]:
    """Everything of this network namespace that listens, or can be sent to."""
    found = set()
    for table in _SOCKET_TABLES:
        for row in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = row.split()
            if table == "unix":
                if int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
                    found.add(f"unix {' '.join(fields[7:])}")
            elif fields[3] in ("0A", "07"):  # LISTEN; unconnected UDP
                found.add(f"{table} {fields[1]}")
    return found


def processes(word: str) -> list[int]:
    """The pids of processes that have `word` in their command line, without ours."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if word.encode() in command and folder.name not in ("self", str(os.getpid())):
            found.append(int(folder.name))
    return found


def children() -> frozenset[int]:
    """The pids of this process's own children."""
    return frozenset(
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    )
