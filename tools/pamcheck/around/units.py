# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""systemd's service units as their files and drop-ins make them.

The manager need not run: pam check also looks at a host before it boots. Order and reset are those
of systemd.unit(5) and systemd.service(5).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from .system import System

#: Folders of units; the first that has a unit wins.
FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


@dataclass(frozen=True)
class Setting:
    """``key=value`` of a unit's section [Service], and where it stands."""

    key: str
    value: str
    place: str

    @property
    def words(self) -> list[str]:
        """The words of a command line, without systemd's prefixes."""
        try:
            words = shlex.split(self.value.lstrip("@-:+!|"))
        except ValueError:
            words = self.value.split()
        return words


class Units:
    """The services of a host."""

    def __init__(self, system: System) -> None:
        self._system = system

    def names(self) -> list[str]:
        """Every service that has a file, a drop-in, or a link that has it started."""
        found: set[str] = set()
        for folder in FOLDERS:
            found.update(self._base(name) for name in self._system.glob(f"{folder}/*.service"))
            for name in self._system.glob(f"{folder}/*.service.d"):
                found.add(self._base(name).removesuffix(".d"))
            for kind in ("wants", "requires"):
                found.update(map(self._base, self._system.glob(f"{folder}/*.{kind}/*.service")))
        return sorted(found)

    def started(self, name: str) -> str | None:
        """The link by which a target has it started."""
        for folder in FOLDERS:
            for kind in ("wants", "requires"):
                for link in self._system.glob(f"{folder}/*.{kind}/{name}"):
                    return link
        return None

    def settings(self, name: str, key: str) -> list[Setting]:
        """The values of `key` that count, in order; nothing for a unit that is masked or has no
        file."""
        fragment = self._fragment(name)
        if fragment is None:
            return []
        found: list[Setting] = []
        for file in (fragment, *self._drop_ins(name)):
            for setting in self._read(file):
                if setting.key == key:
                    # An empty value takes back the values before it.
                    found = [*found, setting] if setting.value else []
        return found

    def _fragment(self, name: str) -> str | None:
        for candidate in (name, _template(name)):
            for folder in FOLDERS if candidate else ():
                path = f"{folder}/{candidate}"
                if os.path.lexists(self._system.path(path)):
                    return None if self._masked(path) else path
        return None

    def _masked(self, path: str) -> bool:
        real = self._system.path(path)
        return real.is_symlink() and str(real.readlink()) == "/dev/null"

    def _drop_ins(self, name: str) -> list[str]:
        """Sorted by their file names; of two of one name the one in the earlier folder."""
        found: dict[str, str] = {}
        for unit in ("service", *_dashes(name), _template(name), name):
            for folder in reversed(FOLDERS):
                for path in self._system.glob(f"{folder}/{unit}.d/*.conf") if unit else ():
                    found[self._base(path)] = path
        return [found[file] for file in sorted(found) if not self._masked(found[file])]

    def _read(self, file: str) -> Iterator[Setting]:
        section, pending, begun = "", "", 0
        for number, line in enumerate((self._system.read(file) or "").splitlines(), 1):
            text = line.strip()
            if not text or text[0] in "#;":
                continue
            begun = begun or number
            if text.endswith("\\"):
                pending += text[:-1] + " "
                continue
            text, pending, where, begun = pending + text, "", f"{file}:{begun}", 0
            if text.startswith("["):
                section = text
            elif section == "[Service]" and "=" in text:
                key, _equals, value = text.partition("=")
                yield Setting(key.strip(), value.strip(), where)

    @staticmethod
    def _base(path: str) -> str:
        return path.rpartition("/")[2]


def _template(name: str) -> str:
    """``getty@.service`` of ``getty@tty1.service``; nothing for what is no instance."""
    prefix, at, instance = name.removesuffix(".service").partition("@")
    return f"{prefix}@.service" if at and instance else ""


def _dashes(name: str) -> list[str]:
    """``foo-.service`` and so on, whose drop-ins hold for ``foo-bar.service`` too."""
    stem = name.removesuffix(".service").partition("@")[0]
    parts = stem.split("-")
    return ["-".join(parts[:count]) + "-.service" for count in range(1, len(parts))]
