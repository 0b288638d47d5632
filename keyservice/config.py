# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The configuration file, TOML. Every key has a default; a key that is not known is an error.

``data/keyservice.toml`` is the file with every key, its default, and what it means.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import DEADLINE_MAX
from keyservice.core.errors import ConfigurationError
from keyservice.ukeys.quirks import (
    NAME_LENGTHS,
    QuirkRule,
    Quirks,
)
from keyservice.ukeys.settings import ReaderSettings

SIZE_MAX = 256 * 1024  #: bytes of the file

#: ``service.language`` → the locale name that the texts are chosen by.
_LANGUAGES = {"auto": "auto", "en": "C", "zh_CN": "zh_CN.UTF-8"}
_ENGINES = ("auto", "openssl", "gmssl")
#: A pattern over ``vvvv:pppp``: four hexadecimal digits on each side, ``?`` for one of them, ``*``
#: for the rest. One that can fit nothing, as with capital letters, would leave a reader open.
_USB_SIDE = r"(?:[0-9a-f?]{4}|[0-9a-f?]{0,3}\*)"
_USB = re.compile(rf"\*|{_USB_SIDE}:{_USB_SIDE}")
_ANYTHING = re.compile(".*", re.DOTALL)

_E = TypeVar("_E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Config:
    """All that is configured."""

    rules: Rules = field(default_factory=Rules)
    readers: ReaderSettings = field(default_factory=ReaderSettings)
    bus: bool = True
    sm2: str = "auto"


def load(path: Path, *, required: bool, trusted: bool) -> Config:
    """Read the file; without one the defaults hold, unless it is `required`.

    `trusted` demands that only root can have written it. Raises :class:`ConfigurationError`,
    whose text has a line for each thing that is wrong.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path}: it is no ordinary file")
            if trusted and (found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                raise ConfigurationError(f"{path}: others than root may write it")
            content = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        if required:
            raise ConfigurationError(f"{path}: there is no such file") from None
        return Config()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    if len(content) > SIZE_MAX:
        raise ConfigurationError(f"{path}: it has over {SIZE_MAX} bytes")
    try:
        return parse(content.decode())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8") from None
    except ConfigurationError as error:
        lines = (f"{path}: {line}" for line in error.message.splitlines())
        raise ConfigurationError("\n".join(lines)) from None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe in the file's place does not hold whoever reads it until somebody writes."""
    return os.open(path, flags | os.O_NONBLOCK)


def parse(text: str) -> Config:
    """The configuration in `text`. Raises :class:`ConfigurationError`, a line per problem."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(str(error)) from None
    problems: list[str] = []
    config = _config(_Table("", content, problems))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return config


def _config(top: _Table) -> Config:
    rules, readers = Rules(), ReaderSettings()
    service, bus, crypto = top.table("service"), top.table("bus"), top.table("crypto")
    reading, locality = top.table("readers"), top.table("locality")
    login, throttle = top.table("authentication"), top.table("throttle")
    virtual = top.boolean("allow_virtual_readers", False)
    config = Config(
        Rules(
            deadline=service.number("deadline", rules.deadline, 5, DEADLINE_MAX),
            language=_LANGUAGES[service.word("language", "auto", tuple(_LANGUAGES))],
            local_ttys=locality.texts("ttys", rules.local_ttys),
            wait_for_ukey=login.number("wait_for_ukey", rules.wait_for_ukey, 0, DEADLINE_MAX),
            throttle_after=throttle.number("after", rules.throttle_after, 1, 10),
            throttle_seconds=throttle.number("seconds", rules.throttle_seconds, 1, 86400),
            throttle_longest=throttle.number("longest", rules.throttle_longest, 1, 86400),
            allow_virtual_readers=virtual,
            shared_pcsc=top.boolean("shared_pcsc", False),
            services={
                table.name: ServiceRule(
                    allow_remote=table.boolean("allow_remote", False),
                    wait_for_ukey=table.optional_number("wait_for_ukey", 0, DEADLINE_MAX),
                )
                for table in top.table("services").tables()
            },
        ),
        ReaderSettings(
            operation_deadline=reading.number("deadline", int(readers.operation_deadline), 1, 120),
            allow=reading.texts("allow", readers.allow),
            deny=reading.texts("deny", readers.deny),
            usb=reading.texts("usb", readers.usb, _USB, 'USB ids such as "163c:*"'),
            allow_virtual_readers=virtual,
            quirks=tuple(_quirk(table) for table in top.array("quirks")),
        ),
        bus=bus.boolean("enabled", True),
        sm2=crypto.word("sm2", "auto", _ENGINES),
    )
    top.finish()
    return config


def _quirk(table: _Table) -> QuirkRule:
    usual = Quirks()
    length = table.number("name_length", usual.name_length, min(NAME_LENGTHS), max(NAME_LENGTHS))
    if length not in NAME_LENGTHS:
        table.complain("name_length", f"is one of {', '.join(map(str, NAME_LENGTHS))}")
        length = usual.name_length
    return QuirkRule(
        reader=table.text("reader", "*"),
        manufacturer=table.text("manufacturer", "*"),
        serial=table.text("serial", "*"),
        quirks=Quirks(
            byte_order=table.choice("byte_order", usual.byte_order),
            mac_length=table.choice("mac_length", usual.mac_length),
            expected_length=table.choice("expected_length", usual.expected_length),
            pin_hash=table.choice("pin_hash", usual.pin_hash),
            name_length=length,
        ),
    )


class _Table:
    """A table that is read key by key; what nobody asked for is a problem at the end."""

    def __init__(
        self, path: str, content: Mapping[str, Any], problems: list[str], name: str = ""
    ) -> None:
        self.name = name
        self._path, self._content, self._problems = path, dict(content), problems
        self._asked: set[str] = set()
        self._children: list[_Table] = []

    def boolean(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.complain(key, "is true or false")
            return default
        return value

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.complain(key, f"is a whole number from {least} to {most}")
            return default
        return value

    def optional_number(self, key: str, least: int, most: int) -> int | None:
        self._asked.add(key)
        return self.number(key, least, least, most) if key in self._content else None

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

    def choice(self, key: str, default: _E) -> _E:
        kind = type(default)
        return kind(self.word(key, default, tuple(kind)))

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

    def table(self, key: str) -> _Table:
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.complain(key, "is a table")
            value = {}
        return self._child(key, value)

    def tables(self) -> list[_Table]:
        """A table for each key, whatever its name."""
        return [self.table(key) for key in list(self._content)]

    def array(self, key: str) -> list[_Table]:
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

    def _child(self, key: str, content: Mapping[str, Any]) -> _Table:
        child = _Table(self._full(key), content, self._problems, key)
        self._children.append(child)
        return child

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self._content.pop(key, default)

    def _full(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key
