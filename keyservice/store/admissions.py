# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Logins from afar that were let in, kept while the service is restarted.

It is written without fsync: a power cut ends all these sessions anyway. After a reboot, or if it
is damaged, the file counts for nothing: then people log in again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from keyservice.core.errors import RecordDamaged

from .files import PrivateDirectory

VERSION = 2
#: The first version knew no sessions that an ssh key has opened.
_VERSIONS = (1, VERSION)
FILE = "admissions"
FILE_MAX = 256 * 1024  #: bytes
#: Sessions that are remembered; beyond these the oldest is forgotten.
ADMISSIONS_MAX = 512


@dataclass(frozen=True, slots=True)
class Admission:
    """A person whom a ukey or an ssh key let in from afar, by a program that opens a session for
    them."""

    uid: int
    serial: str  #: of the ukey; "" if it was a key
    key: str  #: the fingerprint of the registered ssh key; "" if it was a ukey
    #: (pid, clock ticks after boot) of the program, and of its parent.
    leaders: tuple[tuple[int, int], ...]


class AdmissionsFile:
    """The file. Blocking; one thread at a time."""

    def __init__(self, folder: PrivateDirectory, boot: str) -> None:
        """`folder`: that of the service's state. `boot`: the kernel's name for this boot."""
        self._folder, self._boot = folder, boot

    def load(self) -> list[Admission]:
        """The admissions of this boot. Raises :class:`RecordDamaged` and :class:`StoreFailed`."""
        content = self._folder.read(FILE, FILE_MAX)
        if content is None or not content.strip(b"\0"):  # a power cut may leave it so
            return []
        try:
            fields = json.loads(content.decode("ascii"))
            if type(fields["version"]) is not int or fields["version"] not in _VERSIONS:
                raise ValueError("not of a version that is known")
            rows = fields["admitted"] if fields["boot"] == self._boot else []
            return [_admission(row) for row in rows]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise RecordDamaged(path=f"{self._folder.path}/{FILE}") from None

    def save(self, admissions: Sequence[Admission]) -> None:
        """Replace them all. Raises :class:`StoreFailed`."""
        rows = [asdict(each) for each in admissions]
        text = json.dumps({"version": VERSION, "boot": self._boot, "admitted": rows})
        self._folder.replace(FILE, text.encode(), sync=False)


def _admission(row: object) -> Admission:
    assert isinstance(row, dict)
    uid, serial, key, leaders = row["uid"], row["serial"], row.get("key", ""), row["leaders"]
    if type(uid) is not int or type(serial) is not str or type(key) is not str:
        raise ValueError("a field is of another type")
    if bool(serial) is bool(key):
        raise ValueError("one of the two has let them in")
    pairs = tuple((pid, started) for pid, started in leaders)
    if any(type(number) is not int or number <= 0 for pair in pairs for number in pair):
        raise ValueError("a number is wrong")
    return Admission(uid, serial, key, pairs)
