# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Wrong PINs per ukey, kept across restarts. What follows from them is ``access.throttle``'s."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from .files import Folder

VERSION = 1
FILE = "throttle"
FILE_MAX = 1024 * 1024  #: bytes


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong PINs in a row, and until when no further one is taken."""

    count: int
    until: float  #: seconds on CLOCK_BOOTTIME of the boot that the file names


class ThrottleFile:
    """The file. Blocking; one thread at a time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def load(self) -> tuple[str, dict[str, Failures]]:
        """(boot id, failures by serial); the boot id is empty where there is no file.

        Raises :class:`RecordDamaged` and :class:`StoreFailed`.
        """
        content = self._folder.read(FILE, FILE_MAX)
        if content is None:
            return "", {}
        try:
            return _parse(content)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise self._folder.damaged(FILE, "it is not a throttle file") from None

    def save(self, boot: str, failures: Mapping[str, Failures]) -> None:
        """Replace the file's content. Raises :class:`StoreFailed`."""
        text = json.dumps(
            {
                "version": VERSION,
                "boot": boot,
                "ukeys": {serial: asdict(entry) for serial, entry in failures.items()},
            },
            indent=2,
        )
        self._folder.replace(FILE, (text + "\n").encode())


def _parse(content: bytes) -> tuple[str, dict[str, Failures]]:
    fields = json.loads(content.decode("ascii"))
    if fields["version"] != VERSION or not isinstance(fields["boot"], str):
        raise ValueError("not of this version")
    failures = {}
    for serial, entry in fields["ukeys"].items():
        count, until = entry["count"], entry["until"]
        if type(count) is not int or count < 1 or not math.isfinite(until):
            raise ValueError("a count or a time is wrong")
        failures[serial] = Failures(count, float(until))
    return fields["boot"], failures
