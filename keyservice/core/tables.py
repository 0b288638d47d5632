# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Reading a configuration in TOML: every key by its type and bounds, every problem told at once."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigurationError
from .opening import at_once
from .text import plain

SIZE_MAX = 256 * 1024  #: bytes of a file

_T = TypeVar("_T")

_ANYTHING = re.compile(".*", re.DOTALL)


def load(path: Path, take: Callable[[Table], _T], *, required: bool, trusted: bool) -> _T | None:
    """What `take` makes of the file; None where there is none and it is not `required`.

    `trusted` demands that only root can have written it. Raises :class:`ConfigurationError`,
    whose text has a line for each thing that is wrong.
    """
    content = _read(path, required=required, trusted=trusted)
    if content is None:
        return None
    try:
        return parse(content.decode(), take)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8") from None
    except ConfigurationError as error:
        lines = (f"{path}: {line}" for line in error.message.splitlines())
        raise ConfigurationError("\n".join(lines)) from None


def parse(text: str, take: Callable[[Table], _T]) -> _T:
    """What `take` makes of the configuration in `text`. Raises :class:`ConfigurationError`, a line
    per problem."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's, a long number, deep tables
        raise ConfigurationError(plain(str(error))) from None
    problems: list[str] = []
    taken = take(Table("", content, problems))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return taken


def _read(path: Path, *, required: bool, trusted: bool) -> bytes | None:
    try:
        with open(path, "rb", opener=at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path}: it is no ordinary file")
            if trusted:
                _check_trust(path, found)
            content = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        if required:
            raise ConfigurationError(f"{path}: there is no such file") from None
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    if len(content) > SIZE_MAX:
        raise ConfigurationError(f"{path}: it has more than {SIZE_MAX} bytes")
    return content


def _check_trust(path: Path, found: os.stat_result) -> None:
    """Raise :class:`ConfigurationError` if others than root can have written the file, or can put
    another in its place."""
    if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(f"{path}: others than root may write it")
    for folder in path.resolve().parents:
        seen = folder.stat()
        theirs = seen.st_mode & stat.S_IWOTH or (seen.st_mode & stat.S_IWGRP and seen.st_gid != 0)
        if seen.st_uid != 0 or (theirs and not seen.st_mode & stat.S_ISVTX):
            raise ConfigurationError(f"{path}: others than root may write in {folder}")


class Table:
    """A table that is read key by key; a key that nobody asked for is a problem at the end."""

    def __init__(
        self, path: str, content: Mapping[str, Any], problems: list[str], name: str = ""
    ) -> None:
        self.name = name
        self._path, self._content, self._problems = path, dict(content), problems
        self._asked: set[str] = set()
        self._children: list[Table] = []

    def boolean(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.complain(key, "is true or false")
            return default
        return value

    def retired(self, key: str, instead: Callable[[Any], str]) -> None:
        """Complain of a key that there was once. `instead`: what to write in the place of its
        value."""
        if key in self._content:
            self.complain(key, f"is not a key any more: {instead(self._content.pop(key))}")

    def has(self, key: str) -> bool:
        """Whether the key stands there. It is known from then on, whatever its value."""
        self._asked.add(key)
        return key in self._content

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.complain(key, f"is a whole number from {least} to {most}")
            return default
        return value

    def optional_number(self, key: str, least: int, most: int) -> int | None:
        return self.number(key, least, least, most) if self.has(key) else None

    def text(self, key: str, default: str) -> str:
        value = self._take(key, default)
        if not isinstance(value, str):
            self.complain(key, "is a text")
            return default
        return value

    def word(self, key: str, default: str, words: Sequence[str]) -> str:
        value = self.text(key, default)
        if value not in words:
            self.complain(key, f"is one of {', '.join(words)}")
            return default
        return value

    def one_of(self, key: str, choices: Sequence[str | int]) -> str | int:
        """One of `choices`, all texts or all numbers; the first if the key is absent."""
        usual = choices[0]
        value = self._take(key, usual)
        if isinstance(value, bool) or value not in choices:
            self.complain(key, f"is one of {', '.join(map(str, choices))}")
            return usual
        return choices[choices.index(value)]

    def texts(
        self,
        key: str,
        default: tuple[str, ...],
        pattern: re.Pattern[str] = _ANYTHING,
        what: str = "texts",
    ) -> tuple[str, ...]:
        """`what`: the name of texts that fit `pattern`."""
        value = self._take(key, list(default))
        if not isinstance(value, list) or not all(
            isinstance(each, str) and pattern.fullmatch(each) for each in value
        ):
            self.complain(key, f"is a list of {what}")
            return default
        return tuple(value)

    def words(self, key: str, default: Collection[str], words: Collection[str]) -> frozenset[str]:
        """Some of `words`, one at least."""
        value = self._take(key, sorted(default))
        if not isinstance(value, list):
            value = []
        if value and all(isinstance(each, str) and each in words for each in value):
            return frozenset(value)
        self.complain(key, f"is a list of one or more of {', '.join(sorted(words))}")
        return frozenset(default)

    def table(self, key: str) -> Table:
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.complain(key, "is a table")
            value = {}
        return self._child(key, value)

    def tables(self) -> list[Table]:
        """A table for each key, whatever its name."""
        return [self.table(key) for key in list(self._content)]

    def array(self, key: str) -> list[Table]:
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.complain(key, f"is a list of tables: write [[{key}]]")
            value = []
        return [self._child(f"{key}[{number}]", each) for number, each in enumerate(value, 1)]

    def complain(self, key: str, what: str) -> None:
        self._problems.append(f"{self._full(key)} {what}")

    def finish(self) -> None:
        """Report every key that nobody asked for, here and below."""
        for key in self._content:
            nearest = get_close_matches(key, sorted(self._asked), n=1)
            hint = f"; did you mean {self._full(nearest[0])}?" if nearest else ""
            self._problems.append(f"{self._full(key)} is not a known key{hint}")
        for child in self._children:
            child.finish()

    def _child(self, key: str, content: Mapping[str, Any]) -> Table:
        child = Table(self._full(key), content, self._problems, key)
        self._children.append(child)
        return child

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self._content.pop(key, default)

    def _full(self, key: str) -> str:
        key = plain(key)
        return f"{self._path}.{key}" if self._path else key
