# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The visitors to ask sshd about: the people and addresses that its Match blocks tell apart.

This reads sshd's configuration only to find somebody for each block, and the line to change. sshd
itself says what holds for them (``sshd -T -C``).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tools.language import _

from .sshd_match import Patterns
from .system import NotLooked, System

CONFIG = "/etc/ssh/sshd_config"
#: As sshd limits it.
_DEPTH = 16
#: Files, each as often as it is included. sshd would read more of them, and start too late.
_FILES = 1000
_KEYWORD = re.compile(r"([^\s=]+)(?:\s*=\s*|\s+|$)(.*)")

#: The keys that ``-C`` takes, in its order, with a visitor's values where no block names any:
#: nobody's name, and addresses for documents (RFC 5737).
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
        """Whether `other` is told apart by no more than this one, so that this one may do all that
        it may."""
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
        of the `keywords`, in a Match block if there is one; else the block, else the file."""
        met = [line for line in self._matches() if self._meets(line, visitor)]
        blocks = {0, *(line.block for line in met)}
        first: dict[str, Line] = {}
        for line in self.lines:
            if line.block in blocks:
                first.setdefault(line.keyword, line)
        deciding = [first[keyword] for keyword in keywords if keyword in first]
        for line in sorted(deciding, key=lambda each: each.block == 0):
            return line.place
        told = [line for line in met if _names(line) and visitor.special]
        return told[0].place if told else self.name

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
        """The Match blocks that somebody may fit, but for which no visitor was found here."""
        for line in self._matches():
            if not _understood(line) or not self._found(line):
                yield line

    def _found(self, match: Line) -> bool:
        """Whether somebody was found who meets all of a block's criteria, or nobody can."""
        values: dict[str, list[str]] = {key: [value] for key, value in STRANGER.items()}
        values["user"] += ["root", *self._people]
        for line in self._matches():
            for key, found in self._named(line):
                values[key] += found
        wanted: dict[str, list[tuple[str, Patterns]]] = {}
        for name, text in _criteria(match):
            patterns = Patterns(text)
            if not patterns.wanted:
                return True  # it fits nobody
            if name == "group" and not any(map(self._system.group, patterns.wanted)):
                return True  # nobody is in it
            wanted.setdefault(_CRITERIA[name], []).append((name, patterns))
        return all(
            any(
                all(self._fits(name, each, value) for name, each in criteria)
                for value in values[key]
            )
            for key, criteria in wanted.items()
        )

    def _fits(self, name: str, patterns: Patterns, value: str) -> bool:
        if name == "group":
            return patterns.fit_any(self._system.groups_of(value))
        if name in ("address", "localaddress"):
            return patterns.fit_address(value)
        return patterns.fit(value.lower() if name == "host" else value)

    @cached_property
    def _people(self) -> list[str]:
        return [row[0] for row in self._system.passwd()]

    def _matches(self) -> list[Line]:
        return [line for line in self.lines if line.keyword == "match"]

    def _meets(self, match: Line, visitor: Visitor) -> bool:
        """Whether the block is about `visitor`, among others."""
        values = {**STRANGER, **visitor.special}
        return all(
            self._fits(name, Patterns(text), values[_CRITERIA[name]])
            for name, text in _criteria(match)
        )

    def _named(self, match: Line) -> Iterator[tuple[str, list[str]]]:
        """Somebody for each pattern of a block: what ``-C`` calls it, and values that fit."""
        for name, text in _criteria(match):
            key, patterns = _CRITERIA[name], Patterns(text)
            if name == "group":
                members = [who for each in patterns.wanted for who in self._system.group(each)]
                yield key, [who for who in members if self._fits(name, patterns, who)]
            elif key in ("addr", "laddr"):
                yield key, [*patterns.addresses(), *filter(_is_address, patterns.unwanted)]
            else:
                known = self._people if key == "user" else [STRANGER[key]]
                # Another line may let in those who are left out.
                left = [each for each in patterns.unwanted if not set("*?") & set(each)]
                yield key, [*patterns.names(known), *left]


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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _understood(match: Line) -> bool:
    """Whether all of its criteria are ones that ``-C`` can be told of."""
    words = iter(match.arguments)
    for word in words:
        name, equals, _value = word.partition("=")
        if name.lower() in _CRITERIA:
            if not equals and next(words, None) is None:
                return False
        elif name.lower() not in ("all", "invalid-user"):
            return False
    return True
