# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Unit files, as systemd.syntax(7) has them, as far as ours use it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.support.process import must

INSTALLED = Path("/usr/lib/systemd/system")
SERVICE = "ukey-keyservice.service"
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}


class Unit:
    """A unit's settings. Each may be given several times; an empty one takes the former back."""

    def __init__(self, path: Path) -> None:
        self._values: dict[str, list[str]] = {}
        for line in path.read_text().splitlines():
            if not line or line[0] in "#[":
                continue
            key, _, value = line.partition("=")
            given = self._values.setdefault(key, [])
            if value:
                given.append(value)
            else:
                given.clear()

    def text(self, key: str) -> str:
        [value] = self._values[key]
        return value

    def words(self, key: str) -> list[str]:
        """All of them, of all lines."""
        return " ".join(self._values.get(key, [])).split()

    def yes(self, key: str) -> bool:
        return self._values.get(key) == ["yes"]

    def given_empty(self, key: str) -> bool:
        return self._values.get(key) == []

    def seconds(self, key: str) -> float:
        match = re.fullmatch(r"(\d+)(ms|s|min)", self.text(key))
        assert match is not None, self.text(key)
        return int(match[1]) * _UNITS[match[2]]

    def paths(self, key: str) -> list[Path]:
        """Those that are there: a ``-`` before one says that it need not be."""
        found = []
        for word in self.words(key):
            path = Path(word.removeprefix("-"))
            assert path.exists() or word.startswith("-"), f"{key}: {word} is not there"
            if path.exists():
                found.append(path)
        return found

    def allowed_calls(self) -> set[str]:
        """What SystemCallFilter= comes to: lines add, and with ``~`` take away, in turn."""
        allowed: set[str] = calls("@default")
        for line in self._values["SystemCallFilter"]:
            named = set[str]().union(*map(calls, line.removeprefix("~").split()))
            allowed = allowed - named if line.startswith("~") else allowed | named
        return allowed


@cache
def calls(name: str) -> set[str]:
    """The system calls of a set such as @system-service, by this systemd's own account."""
    if not name.startswith("@"):
        return {name}
    told = must(["systemd-analyze", "--no-pager", "syscall-filter", name]).splitlines()
    words = [line.strip() for line in told[1:]]
    return set[str]().union(*(calls(word) for word in words if word and word[0] != "#"))


def installed(name: str) -> Unit:
    return Unit(INSTALLED / name)
