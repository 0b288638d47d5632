# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An account without rights that looks at the host: a test compares what it sees before and
after."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyservice.core.closing import Closing

from .process import END, HostError
from .programs import NOBODY

CHILD = Path(__file__).with_name("onlooker_child.py")


@dataclass(frozen=True)
class Sight:
    """The things that were seen at one look."""

    processes: Mapping[str, Mapping[str, float]]  #: by pid; not those that are hidden
    sockets: Mapping[str, int]
    files: Mapping[str, list[int]]

    def work(self, pid: int) -> Mapping[str, float]:
        return self.processes[str(pid)]

    def changed(self, later: Sight) -> set[str]:
        """Files and folders that visibly changed, or that came or went."""
        paths = self.files.keys() | later.files.keys()
        return {path for path in paths if self.files.get(path) != later.files.get(path)}


class Onlooker(Closing):
    """A process of that account, as a context."""

    def __init__(self, *pids: int, uid: int = NOBODY) -> None:
        """`pids`: whose work it looks at."""
        self._pids = pids
        who = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
        self._process = subprocess.Popen(
            ["setpriv", *who, "/usr/bin/python3", "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate(timeout=END)

    @property
    def pid(self) -> int:
        return self._process.pid

    def look(self) -> Sight:
        self._ask(*self._pids)
        return Sight(**self._answer())

    @contextmanager
    def watching(self) -> Iterator[set[str]]:
        """The command lines that it sees inside; there when it is left."""
        found: set[str] = set()
        self._ask()
        self._answer()
        try:
            yield found
        finally:
            self._ask()
            found |= set(self._answer())

    def _ask(self, *pids: int) -> None:
        assert self._process.stdin is not None
        print(*pids, file=self._process.stdin, flush=True)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise HostError("the onlooker sees nothing any more")
        return json.loads(line)
