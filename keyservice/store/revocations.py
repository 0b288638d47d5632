# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keys that must not open this host any more, whatever the records say.

The file is a history, only ever appended to: taking a revocation back is a line of its own. So a
backup of the records brings no lost ukey back to life, and the file tells who did what.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass

from keyservice.contract.reasons import Reason

from .files import Folder
from .fingerprint import FINGERPRINT

VERSION = 1
FILE = "revoked"
FILE_MAX = 4 * 1024 * 1024  #: bytes; some 15,000 lines


@dataclass(frozen=True, slots=True)
class Revocation:
    """A line of the history."""

    key: str  #: fingerprint of the public key: SM3, 64 hexadecimal digits
    revoked: bool  #: False where a revocation was taken back
    at: str  #: UTC, ISO 8601
    by: int  #: the login uid, or else the uid, of who did it
    user: str  #: whose ukey it was; for people
    serial: str  #: the ukey's; for people


_TYPES: dict[str, type] = {
    "key": str,
    "revoked": bool,
    "at": str,
    "by": int,
    "user": str,
    "serial": str,
}


class Revocations:
    """The history and what follows from it. Blocking, and safe from several threads."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._writing = threading.Lock()
        self._known: tuple[bytes, dict[str, Revocation]] = (b"", {})

    def find(self, key: str) -> Revocation | None:
        """The revocation that is in force for the fingerprint `key`."""
        return self._current().get(key)

    def all(self) -> list[Revocation]:
        """The revocations in force, oldest first."""
        return list(self._current().values())

    def append(self, event: Revocation) -> None:
        """Add a line; it is on the disk when this returns. Raises :class:`StoreFailed`."""
        line = json.dumps({"version": VERSION, **asdict(event)}) + "\n"
        with self._writing:
            self._current()  # nothing is added to a damaged history
            self._folder.append(FILE, line.encode(), FILE_MAX)

    def _current(self) -> dict[str, Revocation]:
        content = self._folder.read(FILE, FILE_MAX) or b""
        known, current = self._known
        if content != known:
            current = self._parse(content)
            self._known = (content, current)
        return current

    def _parse(self, content: bytes) -> dict[str, Revocation]:
        current: dict[str, Revocation] = {}
        # what follows the last newline was never acknowledged: its writer was killed
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                event = _parse_line(line)
            except (ValueError, RecursionError):
                raise self._folder.damaged(FILE, Reason.REVOCATION.format(number=number)) from None
            current.pop(event.key, None)
            if event.revoked:
                current[event.key] = event
        return current


def _parse_line(line: bytes) -> Revocation:
    fields = json.loads(line.decode("ascii"))
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise ValueError("not of this version")
    if fields.keys() != _TYPES.keys():
        raise ValueError("missing or unknown fields")
    for name, kind in _TYPES.items():
        if type(fields[name]) is not kind:
            raise ValueError("a field of the wrong type")
    event = Revocation(**fields)
    if not FINGERPRINT.fullmatch(event.key):
        raise ValueError("not a fingerprint")
    return event
