# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A file of lines. Lines are only ever added, and the loss of a line is noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from keyservice.core.errors import RecordDamaged
from keyservice.core.reasons import Reason

from .files import PrivateDirectory
from .witness import Witness


class History:
    """The file `name` of at most `limit` bytes. Blocking, and safe from several threads.

    To add lines, a new file replaces the old one, so that no killed writer leaves half a line: a
    last line without its end is damage.
    """

    def __init__(self, folder: PrivateDirectory, name: str, limit: int, witness: Witness) -> None:
        self.folder, self.name = folder, name
        self._limit, self._witness = limit, witness
        self._writing = threading.Lock()
        self._sound: bytes | None = None

    def read(self) -> bytes:
        """All lines. Raises :class:`RecordDamaged` if some are gone, changed or cut."""
        while True:
            content = self.raw()
            if content == self._sound:
                return content
            try:
                self._check(content)
            except RecordDamaged:
                if self.raw() != content:
                    continue  # another thread wrote after this one had read
                raise
            self._sound = content
            return content

    def append(self, lines: bytes) -> None:
        """Add whole `lines`; they are on the disk when this returns, or none of them is.

        Raises :class:`RecordDamaged`: nothing is added to a damaged file.
        """
        with self._writing:
            content = self.read() + lines
            if len(content) > self._limit:
                size = len(content)
                raise self.folder.damaged(self.name, Reason.SIZE, size=size, limit=self._limit)
            self.folder.replace(self.name, content)
            self._sound = content
            self._witness.note({self.name: content})

    def raw(self) -> bytes:
        """The file's content, right or not."""
        return self.folder.read(self.name, self._limit) or b""

    def settle(self, content: bytes) -> None:
        """Make `content` the file's content, if it is not: somebody accepts it as right."""
        with self._writing:
            if content != self.raw():
                self.folder.replace(self.name, content)
            self._sound = None

    def _check(self, content: bytes) -> None:
        if content and not content.endswith(b"\n"):
            raise self.folder.damaged(self.name, Reason.CUT)
        self._witness.check(self.folder, self.name, content)


def ended(content: bytes, parse: Callable[[bytes], object]) -> bytes:
    """`content` with its last line ended if that is a whole one, and without it otherwise.

    Raises what `parse` raises for any other line.
    """
    end = content.rfind(b"\n") + 1
    whole, rest = content[:end], content[end:]
    if rest:
        try:
            parse(rest + b"\n")
        except RecordDamaged:
            rest = b""
        else:
            rest += b"\n"
    parse(whole)
    return whole + rest
