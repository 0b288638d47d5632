# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keys that must not open this host any more, whatever the records say.

The file is a history, to which lines are only appended: taking a revocation back is a line of its
own. So a backup of the records makes no lost ukey valid again, and the file tells who did what.
"""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.core.reasons import Reason
from keyservice.crypto.algorithms import FINGERPRINT

from . import lines
from .files import PrivateDirectory
from .history import History, ended
from .witness import Witness

VERSION = 1
FILE = "revoked"
FILE_MAX = 4 * 1024 * 1024  #: bytes; some 15,000 lines


@dataclass(frozen=True, slots=True)
class Revocation:
    """A line of the history."""

    key: str  #: fingerprint of the public key, 64 hexadecimal digits
    revoked: bool  #: False if a revocation was taken back
    at: str  #: UTC, ISO 8601
    by: int  #: the login uid, or else the uid, of the person who did it
    user: str  #: whose ukey it was; for people
    serial: str  #: the ukey's; for people


class Revocations:
    """The history and what follows from it. Blocking, and safe from several threads."""

    def __init__(self, folder: PrivateDirectory, witness: Witness) -> None:
        self.history = History(folder, FILE, FILE_MAX, witness)
        self._known: tuple[bytes, list[Revocation], dict[str, Revocation]] = (b"", [], {})

    def find(self, key: str) -> Revocation | None:
        """The revocation that is in force for the fingerprint `key`."""
        return self._current()[2].get(key)

    def all(self) -> list[Revocation]:
        """The revocations in force, oldest first."""
        return list(self._current()[2].values())

    def lines(self) -> list[Revocation]:
        """All that was ever done, oldest first."""
        return list(self._current()[1])

    def append(self, event: Revocation) -> None:
        """Add a line; it is on the disk when this returns. Raises :class:`StoreFailed`."""
        self._current()  # nothing is added to a damaged history
        self.history.append(lines.encode(VERSION, event))

    def accepted(self) -> bytes:
        """The file's content, with its last line ended, or cut off if it is no whole line.

        Raises :class:`RecordDamaged` if another line cannot be read.
        """
        return ended(self.history.raw(), self._parse)

    def _current(self) -> tuple[bytes, list[Revocation], dict[str, Revocation]]:
        content, known = self.history.read(), self._known
        if content != known[0]:
            known = self._known = content, *self._parse(content)
        return known

    def _parse(self, content: bytes) -> tuple[list[Revocation], dict[str, Revocation]]:
        events: list[Revocation] = []
        current: dict[str, Revocation] = {}
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                event = _parse_line(line)
            except (ValueError, RecursionError):
                damaged = self.history.folder.damaged
                raise damaged(FILE, Reason.REVOCATION, number=number) from None
            events.append(event)
            current.pop(event.key, None)
            if event.revoked:
                current[event.key] = event
        return events, current


def _parse_line(line: bytes) -> Revocation:
    event = Revocation(**lines.decode(line, VERSION, Revocation))
    if not FINGERPRINT.fullmatch(event.key):
        raise ValueError("not a fingerprint")
    return event
