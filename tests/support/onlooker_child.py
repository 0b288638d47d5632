# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The attacker of ``onlooker``: a plain account that looks at whatever it may while others log in.

For each line on stdin, which has pids, one JSON object on stdout: processes, sockets, files.
After a line without any, which gets {}, it looks at what runs until the next line comes.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections import Counter
from pathlib import Path

#: Where files are looked at, as far as the account gets.
FOLDERS = ("/etc/ukey", "/etc/usbkey", "/var/lib/ukey", "/var/log", "/run", "/dev/shm")


def processes(pids: list[int]) -> dict[int, dict[str, float]]:
    """What each of the `pids` did so far, its descendants included."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {}
    for root in pids:
        family = {root} & parents.keys()
        while children := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= children
        if family:
            own, theirs = _work([root]), _work(sorted(family - {root}))
            found[root] = {**own, **{f"{what} of its children": n for what, n in theirs.items()}}
    return found


def _work(pids: list[int]) -> dict[str, float]:
    """Of all threads: how often they slept, and how many milliseconds they ran."""
    sleeps, ran, threads = 0, 0.0, 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                status = (thread / "status").read_text()
                ran += int((thread / "schedstat").read_text().split()[0]) / 1e6
            except OSError:
                continue
            threads += 1
            sleeps += sum(
                int(line.split()[1])
                for line in status.splitlines()
                if line.startswith("voluntary_ctxt_switches:")
            )
    return {"sleeps": sleeps, "milliseconds": ran, "threads": threads}


def sockets() -> dict[str, int]:
    """Unix sockets with a name, by name and state."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return dict(Counter(f"{row[7]} {row[5]}" for row in rows if len(row) > 7))


def files() -> dict[str, list[int]]:
    """Times in nanoseconds, and sizes; for a closed folder only its own."""
    paths = set(FOLDERS)
    for top in FOLDERS:
        for folder, folders, names in os.walk(top):
            paths |= {f"{folder}/{name}" for name in (*folders, *names)}
    found = {}
    for path in paths:
        try:
            told = Path(path).lstat()
        except OSError:
            continue
        times = [told.st_atime_ns, told.st_mtime_ns, told.st_ctime_ns]
        found[path] = [*times, told.st_size]
    return found


def commands() -> list[str]:
    """Every command line that was seen until there is something to read."""
    found = set()
    while not select.select([sys.stdin.fileno()], [], [], 0)[0]:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.add(command.read_text(errors="replace").replace("\0", " ").strip())
            except OSError:
                continue
    return sorted(found)


while asked := sys.stdin.readline():
    pids = [int(word) for word in asked.split()]
    seen: object
    if pids:
        seen = {"processes": processes(pids), "sockets": sockets(), "files": files()}
    else:
        print("{}", flush=True)  # the next line comes after this, and so is not read with this one
        seen = commands()
        sys.stdin.readline()
    print(json.dumps(seen), flush=True)
