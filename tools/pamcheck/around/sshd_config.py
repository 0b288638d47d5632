# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whom to ask sshd about: the people and addresses that its Match blocks tell apart.

This reads sshd's configuration only to find somebody for each block, and the line to change. What
holds for them, sshd says (``sshd -T -C``).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tools.language import _

from .system import NotLooked, System

CONFIG = "/etc/ssh/sshd_config"
#: As sshd limits it.
_DEPTH = 16
#: Files, each as often as it is included. sshd would read on, and start too late.
_FILES = 1000
_KEYWORD = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+|$)(.*)")

#: What ``-C`` takes, in its order, and who comes where no block says: nobody's name, and addresses
#: for documents (RFC 5737).
STRANGER: Mapping[str, str] = {
    "user": "a-user",
    "host": "host.invalid",
    "addr": "192.0.2.1",
    "laddr": "192.0.2.2",
    "lport": "22",
    "rdomain": "",
}
_CRITERIA = {
    "user": "user",
    "group": "user",
    "host": "host",
    "address": "addr",
    "localaddress": "laddr",
    "localport": "lport",
    "rdomain": "rdomain",
}


@dataclass(frozen=True)
class Line:
    """A line of the configuration, and the Match block that it stands in."""

    file: str
    number: int
    keyword: str  #: in small letters
    arguments: tuple[str, ...]
    block: int  #: 0: before any Match

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Visitor:
    """Somebody who comes to sshd; `special` is what tells them from a stranger."""

    special: Mapping[str, str] = field(default_factory=dict)

    @property
    def specification(self) -> str:
        """For ``-C``."""
        return ",".join(f"{key}={value}" for key, value in {**STRANGER, **self.special}.items())

    @property
    def root(self) -> bool:
        return self.special.get("user") == "root"

    def within(self, other: Visitor) -> bool:
        """Whether `other` is told apart by no more than this one: what it may, this one may."""
        return other.special.items() <= self.special.items()


class Config:
    """The lines of sshd's configuration, with those that it includes."""

    def __init__(self, system: System, name: str = CONFIG) -> None:
        self._system = system
        self.name = name
        self._blocks = self._files = 0
        self.lines = list(self._read(name, 0, 0))

    def _read(self, name: str, block: int, depth: int) -> Iterator[Line]:
        self._files += 1
        if self._files > _FILES:
            raise NotLooked(self.name, _("too many files are included"))
        for number, text in self._system.lines(name):
            keyword, *arguments = _words(text)
            line = Line(name, number, keyword.lower(), tuple(arguments), block)
            if line.keyword == "match":
                self._blocks += 1
                block = self._blocks
                line = Line(name, number, "match", line.arguments, block)
            yield line
            if line.keyword == "include" and depth < _DEPTH:
                for pattern in arguments:
                    absolute = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
                    for included in self._system.glob(absolute):
                        yield from self._read(included, block, depth + 1)

    def place(self, keywords: Sequence[str], visitor: Visitor) -> str:
        """The line that decides for `visitor`, as far as that can be told: the first that sets one
        of the `keywords`, else the Match block, else the file."""
        met = [line for line in self._matches() if self._meets(line, visitor)]
        for_all = {line.block for line in self._matches() if not _names(line)}
        blocks = {line.block for line in met} or {0, *for_all}
        for keyword in keywords:
            for line in self.lines:
                if line.keyword == keyword and line.block in blocks:
                    return line.place
        return met[0].place if met else self.name

    def visitors(self, limit: int) -> tuple[list[Visitor], int]:
        """A stranger, root, and somebody for each combination of what Match blocks name, those that
        differ least from a stranger first; and how many there would be without the `limit`."""
        values: dict[str, list[str]] = {key: [] for key in STRANGER}
        values["user"].append("root")
        for line in self._matches():
            for key, found in self._named(line):
                values[key] += found
        if any(_CRITERIA.get(name) == "user" for line in self._matches() for name in _names(line)):
            values["user"] += self._system.bound()
        kinds = [
            [(key, value) for value in dict.fromkeys(found) if _sayable(value)]
            for key, found in values.items()
        ]
        kinds = [kind for kind in kinds if kind]
        total = 1
        for kind in kinds:
            total *= len(kind) + 1
        combinations = (
            Visitor(dict(combination))
            for count in range(len(kinds) + 1)
            for chosen in itertools.combinations(kinds, count)
            for combination in itertools.product(*chosen)
        )
        return list(itertools.islice(combinations, limit)), total

    def unknown(self) -> Iterator[Line]:
        """The Match blocks for whom nobody can be thought of here."""
        for line in self._matches():
            words = [word.partition("=")[0].lower() for word in line.arguments[:1]]
            if not set(words) <= {*_CRITERIA, "all", "final", "canonical", "invalid-user"}:
                yield line

    def _matches(self) -> list[Line]:
        return [line for line in self.lines if line.keyword == "match"]

    def _meets(self, match: Line, visitor: Visitor) -> bool:
        """Whether the block was what `visitor` was invented for."""
        named: dict[str, list[str]] = {}
        for key, values in self._named(match):
            named.setdefault(key, []).extend(values)
        common = named.keys() & visitor.special.keys()
        return bool(common) and all(visitor.special[key] in named[key] for key in common)

    def _named(self, match: Line) -> Iterator[tuple[str, list[str]]]:
        """Somebody for each pattern of a block: what ``-C`` calls it, and values that fit."""
        for name, patterns in _criteria(match):
            key = _CRITERIA.get(name)
            if key is None:
                continue
            found = []
            for pattern in patterns.split(","):
                plain = pattern.removeprefix("!")
                if name == "group":
                    found += self._system.group(plain)
                elif key in ("addr", "laddr"):
                    found.append(_address(plain))
                else:
                    found.append(_fitting(plain))
            yield key, found


def _words(text: str) -> list[str]:
    """A line's words, as sshd takes them apart: ``Keyword value`` or ``Keyword=value``, quotes."""
    found = _KEYWORD.fullmatch(text)
    if found is None:
        return [text]
    keyword, rest = found.groups()
    try:
        return [keyword, *shlex.split(rest, comments=True)]
    except ValueError:  # an open quote, at which sshd stops
        return [keyword, *rest.split()]


def _criteria(match: Line) -> Iterator[tuple[str, str]]:
    """``User alice Address=10.*`` as pairs."""
    words = iter(match.arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name.lower() in _CRITERIA:
            yield name.lower(), value if equals else next(words, "")


def _names(match: Line) -> list[str]:
    return [name for name, _patterns in _criteria(match)]


def _sayable(value: str) -> bool:
    """Whether ``-C`` can be told: it takes no comma."""
    return bool(value) and "," not in value and value.isprintable()


def _fitting(pattern: str) -> str:
    return pattern.replace("*", "x").replace("?", "x")


def _address(pattern: str) -> str:
    try:
        network = ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return pattern.replace("*", "1").replace("?", "1")
    return str(network[0] if network.num_addresses == 1 else network[1])
