# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the kernel says of other processes."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


def uids_of(pid: int) -> tuple[int, int, int, int]:
    """(real, effective, saved, file system) uid from /proc/PID/status. Raises :class:`OSError` if
    it cannot be read, :class:`ValueError` if it has no uids."""
    status = Path(f"/proc/{pid}/status").read_bytes()
    # The kernel escapes the process's name in the first line: no newline can be in it.
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            real, effective, saved, files = (int(word) for word in line.split()[1:])
            return real, effective, saved, files
    raise ValueError("no Uid line")


@dataclass(frozen=True, slots=True)
class Stat:
    """Some of the fields of /proc/PID/stat, proc(5)."""

    parent: int
    terminal: int  #: device number of the controlling terminal, 0 where there is none
    started: int  #: clock ticks after boot: with the pid it names a process for good


def stat_of(pid: int) -> Stat:
    """Raises :class:`OSError` if it cannot be read, :class:`ValueError` if fields are missing."""
    # The program's name comes before them, in parentheses, and may hold some itself.
    words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if len(words) < 20:
        raise ValueError("too few fields")
    number = int(words[4]) & 0xFFFFFFFF  # the kernel prints it as a signed number
    terminal = os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)
    return Stat(int(words[1]), terminal, int(words[19]))


def lineage(pid: int, started: int) -> list[tuple[int, int]]:
    """(pid, clock ticks after boot) of a process, and of its parent if that is root's alone.

    Empty if that process, which began at `started`, is gone.
    """
    with suppress(OSError, ValueError):
        stat = stat_of(pid)
        parent = stat_of(stat.parent)
        roots = stat.parent > 1 and set(uids_of(stat.parent)) == {0}
        # it is still the parent: a process whose parent ends gets another one
        if stat.started == started and stat_of(pid) == stat:
            return [(pid, started), *([(stat.parent, parent.started)] if roots else [])]
    return []


def lives(pid: int, started: int) -> bool:
    """Whether the process that began at that time still exists."""
    with suppress(OSError, ValueError):
        return stat_of(pid).started == started
    return False
