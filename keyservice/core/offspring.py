# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The processes that this one started, and whether another one is, or comes from, one of them.

They are uid 0, like the programs that may ask for everything. None of them ever asks: one that
does has been taken over.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

#: Generations that are looked at, and how often. A process that is deeper, or whose parents keep
#: changing, hides something.
_GENERATIONS: Final = 256
_ATTEMPTS: Final = 8

_PR_SET_CHILD_SUBREAPER: Final = 36

_started: set[int] = set()
_all_are_ours = False


def adopt() -> None:
    """From now on this process has no other children: all that one of them starts descends from
    this process for ever, even if its own parent ends. Raises :class:`OSError`."""
    global _all_are_ours
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    _all_are_ours = True


def add(pid: int) -> None:
    """`pid` has been started, and is not reaped before :meth:`discard`."""
    _started.add(pid)


def discard(pid: int) -> None:
    """`pid` is being reaped: its number may go to another process."""
    _started.discard(pid)


def holds(pid: int) -> bool:
    """Whether `pid` is one of them, or descends from one.

    False for a process that is gone, or whose parents cannot be seen.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _descends(pid)
        except (FileNotFoundError, ProcessLookupError):
            if not Path(f"/proc/{pid}").exists():
                return False
            # a parent ended meanwhile: it has another one now
        except (OSError, ValueError, IndexError):
            return False
    return True


def _descends(pid: int) -> bool:
    if pid == os.getpid():
        return False
    for _ in range(_GENERATIONS):
        if pid in _started:
            return True
        if pid == os.getpid():
            return _all_are_ours
        if pid <= 1:
            return False
        pid = _parent(pid)
    return True


def _parent(pid: int) -> int:
    # The program's name comes before it, in parentheses, and may hold some itself: proc(5), ppid.
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
