# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Questions to the keyservice over the system bus, and rows whose keys can be relied on."""

from __future__ import annotations

import pwd
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from keyservice.client.session import Bus, Unreachable
from keyservice.contract import shell
from keyservice.contract.names import SYSTEM_BUS

from . import service
from .command import Failure
from .exits import Exit
from .language import _, why
from .output import Value

#: Seconds for each question.
_TIMEOUT = 15

Row = dict[str, Value]


@contextmanager
def asking() -> Iterator[Bus]:
    """The keyservice on the bus; anything that goes wrong is a ``Failure``."""
    with service.reached():
        try:
            with Bus(timeout=_TIMEOUT) as bus:
                yield bus
        except Unreachable as error:
            if _bus_runs():
                raise
            raise Failure(
                _("The system bus cannot be reached: {reason}.").format(reason=why(error.facts)),
                Exit.UNREACHABLE,
                error=service.UNREACHABLE,
                hint=_(
                    "This command asks over it; getpubkey, rmpubkey and chpinpw do without. Start "
                    "it: systemctl start dbus"
                ),
            ) from None


def _bus_runs() -> bool:
    """Whether the bus is missing, or the keyservice on it."""
    with socket.socket(socket.AF_UNIX) as attempt:
        attempt.settimeout(_TIMEOUT)
        return attempt.connect_ex(SYSTEM_BUS.removeprefix("unix:path=")) == 0


def rows(answer: Sequence[Mapping[str, Any]], keys: Sequence[tuple[str, str]]) -> list[Row]:
    """Each row with exactly the documented `keys`; None where the service did not say."""
    return [row(each, keys) for each in answer]


def row(answer: Mapping[str, Any], keys: Sequence[tuple[str, str]]) -> Row:
    return {key: answer.get(key) for key, _meaning in keys}


# -- cells for people


def text(value: Value) -> str:
    """A value for a table: a dash where there is none."""
    return "-" if value is None or value == "" else str(value)


def word(value: Value) -> str:
    """A name or a serial, which people paste into commands, as a shell takes it."""
    return shell.word(text(value))


def local_time(value: Value) -> str:
    """A record's UTC time, in the time of this host."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text(value)


def user_of(uid: Value) -> str:
    """The name of a uid, or its number where it has none."""
    if not isinstance(uid, int) or uid < 0:
        return "-"
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
