# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Writes down every opening of a file on some file systems, and every start of some programs.

``fanotify.py MOUNT… -- PROGRAM…``, as root.

Each opening waits in the kernel until this program allows it, so that what /proc says of whoever
opens is what is true at that moment. That includes openings from other mount namespaces, which is
why file systems are watched and not mounts. A path without a file, and opening by O_PATH alone,
are not seen.

Standard output: the line ``watching``, then one line of JSON for each opening, written before it
is allowed (``watcher.Opening``). Ends when it is killed; the kernel then allows what waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import struct
import sys
from pathlib import Path

# <linux/fanotify.h>, <fcntl.h>
_CLOEXEC, _CLASS_CONTENT, _UNLIMITED_QUEUE, _REPORT_TID = 0x1, 0x4, 0x10, 0x100
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_OPEN_PERM, _OPEN_EXEC_PERM, _ONDIR = 0x10000, 0x40000, 0x40000000
_AT_FDCWD = -100
_ALLOW = 1
_VERSION = 3

#: length of the event, version, reserved, length of these fields, mask, file, thread
_EVENT = struct.Struct("=IBBHQii")
_RESPONSE = struct.Struct("=iI")
_ANCESTORS_MAX = 32
#: Of proc(5), status.
_KEPT = ("NoNewPrivs", "SigBlk", "SigIgn", "Umask")
#: Of proc(5), limits.
_COLUMNS = re.compile(" {2,}")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = [
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.c_int,
    ctypes.c_char_p,
]


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _status(pid: int) -> dict[str, str]:
    """proc(5), status, of a process or thread."""
    text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def _ancestors(status: dict[str, str]) -> list[int]:
    """The process itself, its parent, and so on up."""
    found = [int(status["Tgid"])]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while (parent := int(status["PPid"])) and len(found) < _ANCESTORS_MAX:
            found.append(parent)
            status = _status(parent)
    return found


def _inherited(pid: int, status: dict[str, str]) -> dict[str, str]:
    """What a program gets from whoever executes it just now, by the names that proc(5) has."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    found = {name: status[name].strip() for name in _KEPT}
    for line in limits:
        name, soft, hard, *_unit = _COLUMNS.split(line.strip())
        found[name] = f"{soft} {hard}"
    # of processor time: the 14th and 15th field of proc(5), stat; the 2nd is in parentheses
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    found["seconds"] = str(sum(map(int, times)) / os.sysconf("SC_CLK_TCK"))
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found["cwd"] = str(Path(f"/proc/{pid}/cwd").readlink())
        found["fd"] = " ".join(sorted(each.name for each in Path(f"/proc/{pid}/fd").iterdir()))
    return found


def _opening(mask: int, file: int, thread: int) -> dict[str, object]:
    status = _status(thread)
    _real, effective, _saved, _fs = map(int, status["Uid"].split())
    executed = bool(mask & _OPEN_EXEC_PERM)
    return {
        "path": str(Path(f"/proc/self/fd/{file}").readlink()),
        "device": os.fstat(file).st_dev,
        "program": status["Name"],
        "euid": effective,
        "executed": executed,
        "ancestors": _ancestors(status),
        "inherited": _inherited(thread, status) if executed else {},
    }


def main(arguments: list[str]) -> None:
    end = arguments.index("--")
    flags = _CLOEXEC | _CLASS_CONTENT | _UNLIMITED_QUEUE | _REPORT_TID
    group = _checked(_libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC), "fanotify_init")
    watched = [(name, _MARK_FILESYSTEM, _OPEN_PERM | _ONDIR) for name in arguments[:end]]
    watched += [(name, 0, 0) for name in arguments[end + 1 :]]
    for name, kind, events in watched:
        mark = _libc.fanotify_mark(
            group, _MARK_ADD | kind, events | _OPEN_EXEC_PERM, _AT_FDCWD, os.fsencode(name)
        )
        _checked(mark, name)
    print("watching", flush=True)
    while True:
        batch = os.read(group, 65536)
        while batch:
            length, version, _, _, mask, file, thread = _EVENT.unpack_from(batch)
            if version != _VERSION:
                raise OSError(f"fanotify's version is {version}")
            batch = batch[length:]
            # A program that is killed while it waits opens nothing.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                print(json.dumps(_opening(mask, file, thread)), flush=True)
            os.write(group, _RESPONSE.pack(file, _ALLOW))
            os.close(file)


if __name__ == "__main__":
    main(sys.argv[1:])
