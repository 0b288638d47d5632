# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How long each history was and what stood in it, so that one that is lost or cut is noticed.

The same text lies beside the histories and beside the records: if one folder is lost, the other
tells of it. It is written after the histories that it tells of. A history only grows, so an older
witness is right too: one from a backup, or one that a killed writer did not reach.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from keyservice.core.errors import UkeyError
from keyservice.core.reasons import Reason
from keyservice.crypto.algorithms import FINGERPRINT
from keyservice.crypto.sm3 import sm3

from .files import PrivateDirectory

_log = logging.getLogger(__name__)

VERSION = 1
#: Its name beside the histories.
FILE = "witness"
#: Beside the records: hidden, since every other file there is a record.
HIDDEN = ".witness"
FILE_MAX = 8192  #: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """The beginning of a file, as it was when it was whole."""

    size: int  #: bytes
    sm3: str  #: 64 hexadecimal digits

    @classmethod
    def of(cls, content: bytes) -> Seen:
        return cls(len(content), sm3(content).hex())


@dataclass(frozen=True, slots=True)
class _Text:
    host: str
    files: Mapping[str, Seen]


class Witness:
    """Knows how long the histories were. Blocking, and safe from several threads.

    `host`: this host's machine id. `places`: folders, and the file's name in each.
    """

    def __init__(self, host: str, *places: tuple[PrivateDirectory, str]) -> None:
        self._host, self._places = host, places
        self._writing = threading.Lock()

    def missing(self) -> list[PrivateDirectory]:
        """The folders without a witness. If that is all of them, nothing was ever kept here."""
        return [folder for folder, name in self._places if folder.read(name, FILE_MAX) is None]

    def kept(self) -> bool:
        """Whether anything was ever kept, as far as the folders that are there tell."""
        there = [(folder, name) for folder, name in self._places if folder.there]
        return any(folder.read(name, FILE_MAX) is not None for folder, name in there)

    @property
    def places(self) -> int:
        return len(self._places)

    def check(self, folder: PrivateDirectory, file: str, content: bytes) -> None:
        """Raise :class:`RecordDamaged` unless `content` begins as `file` was last seen."""
        for where, name in self._places:
            text = self._read(where, name)
            seen = text.files.get(file) if text is not None else None
            if text is None or seen is None or Seen.of(content[: seen.size]) == seen:
                continue
            if text.host != self._host:
                raise folder.damaged(file, Reason.ELSEWHERE, file=f"{where.path}/{name}")
            if not content:
                raise folder.damaged(file, Reason.VANISHED)
            size, length = len(content), seen.size
            if size < length:
                raise folder.damaged(file, Reason.SHRUNK, size=size, length=length)
            raise folder.damaged(file, Reason.CHANGED, length=length)

    def note(self, contents: Mapping[str, bytes]) -> None:
        """Note the new contents of files. The notes of other files stay.

        A folder that cannot be written keeps what it has, unless it is the first one.
        """
        with self._writing:
            files: dict[str, Seen] = {}
            for where, name in self._places:
                text = self._read(where, name)
                for file, seen in text.files.items() if text is not None else ():
                    if file not in files or files[file].size < seen.size:
                        files[file] = seen
            self._write(files | {file: Seen.of(each) for file, each in contents.items()})

    def accept(self, contents: Mapping[str, bytes]) -> None:
        """Take these for right from now on, whatever was known before."""
        with self._writing:
            self._write({file: Seen.of(each) for file, each in contents.items()})

    def _write(self, files: Mapping[str, Seen]) -> None:
        seen = {file: asdict(files[file]) for file in sorted(files)}
        fields = {"version": VERSION, "host": self._host, "files": seen}
        text = (json.dumps(fields, indent=2) + "\n").encode()
        for number, (where, name) in enumerate(self._places):
            try:
                where.replace(name, text)
            except UkeyError as error:
                if number == 0:
                    raise
                _log.warning("%s; what it tells of is older, and right", error)

    def _read(self, where: PrivateDirectory, name: str) -> _Text | None:
        content = where.read(name, FILE_MAX)
        if content is None:
            return None
        try:
            return _parse(content)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise where.damaged(name, Reason.WITNESS) from None


def _parse(content: bytes) -> _Text:
    fields = json.loads(content.decode("ascii"))
    if fields["version"] != VERSION or type(fields["host"]) is not str:
        raise ValueError("not of this version")
    files = {}
    for file, entry in fields["files"].items():
        seen = Seen(**entry)
        if type(seen.size) is not int or seen.size < 0 or not FINGERPRINT.fullmatch(seen.sm3):
            raise ValueError("a length or a digest is wrong")
        files[file] = seen
    return _Text(fields["host"], files)
