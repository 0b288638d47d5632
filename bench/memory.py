# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the keyservice's processes hold, from /proc/PID/smaps, in MiB."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

UNIT = "the unit: what is their own, and each file once"
_KIB = 1024  #: KiB in a MiB
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")


def measure(keyservice: int) -> dict[str, float]:
    """Each process's own memory, that is no unchanged page of a file, and the whole unit's.

    A control group is charged the same and, beyond that, for what the kernel holds for it and the
    files that it has read.
    """
    found: dict[str, float] = {}
    files: Counter[str] = Counter()
    for name, pid in {"keyservice": keyservice, **_children(keyservice)}.items():
        own, of_files = parse(Path(f"/proc/{pid}/smaps").read_text())
        found[name] = own / _KIB
        files |= of_files  # the most that any of them has in memory
    return {**found, UNIT: sum(found.values()) + files.total() / _KIB}


def parse(smaps: str) -> tuple[int, Counter[str]]:
    """(KiB that are the process's own, KiB of each file that is mapped)."""
    own, files, path = 0, Counter[str](), ""
    for line in smaps.splitlines():
        mapping = _MAPPING.match(line)
        if mapping is not None:
            path = mapping[1]
            continue
        name, _, value = line.partition(":")
        if name in ("Rss", "Anonymous"):
            size = int(value.split()[0])
            own += size if name == "Anonymous" else 0
            if path.startswith("/"):
                files[path] += size if name == "Rss" else -size
    return own, files


def _children(pid: int) -> dict[str, int]:
    """The processes for readers, by what they are: of workers there is one, as of readers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = {}
    for child in map(int, children):
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        found["device worker" if b"worker" in words else "watcher"] = child
    return found
