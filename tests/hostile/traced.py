# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The second watcher: system calls, by strace from outside. It sees what finds no file, too.

Root's strace keeps the rights of the setuid program that it follows (its option -u).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: One system call that returned: its name, arguments, result.
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\w+)")
_STRING = r'"((?:[^"\\]|\\.)*)"'
_FIRST = re.compile(rf"(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?{_STRING}")
_SOCKET = re.compile(rf"sun_path={_STRING}")
#: The position of the new euid among the arguments; -1 keeps it.
_EUID = {"setuid": 0, "setreuid": 1, "setresuid": 1}
_FORKS = {"clone", "clone3", "fork", "vfork"}
#: Not every architecture has all of the forks.
_TRACED = ",".join(("%file", *_EUID, *(f"?{call}" for call in sorted(_FORKS)), "connect"))


@dataclass(frozen=True)
class Lookup:
    """A path that a system call named, whatever came of it; relative ones are completed."""

    call: str
    path: str
    euid: int


def command(folder: Path, user: str) -> list[str]:
    """What makes a command `user`'s and writes down what it does, a file for each process."""
    return ["strace", "-ff", "-y", "-s", "8192", "-e", f"trace={_TRACED}", "-o",
            os.fspath(folder / "trace"), "-u", user]  # fmt: skip


def lookups(folder: Path, uid: int) -> Iterator[Lookup]:
    """All paths that were named, from the first process on, which was `uid`'s."""
    traces = {int(path.suffix[1:]): path.read_text() for path in folder.glob("trace.*")}
    left = [(min(traces), uid)]
    while left:
        pid, euid = left.pop()
        for line in traces.pop(pid).splitlines():
            match = _CALL.match(line)
            if match is None:
                continue
            call, arguments, result = match.groups()
            path = _path_of(call, arguments)
            if path is not None:
                yield Lookup(call, path, euid)
            if result.startswith("-"):
                continue
            if call in _FORKS:
                left.append((int(result), euid))
            elif call in _EUID:
                new = int(arguments.split(", ")[_EUID[call]])
                euid = euid if new == -1 else new
            elif call == "execve" and path is not None:
                facts = Path(path).stat()
                euid = facts.st_uid if facts.st_mode & 0o4000 else euid
    assert not traces, f"whose children are {sorted(traces)}?"


def _path_of(call: str, arguments: str) -> str | None:
    if call == "getcwd":  # names none
        return None
    if call == "connect":
        socket = _SOCKET.search(arguments)
        return socket[1] if socket else None
    named = _FIRST.match(arguments)
    return str(Path(named[1] or "", named[2])) if named else None
