# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""inotify(7), by ctypes: being told of new files instead of looking for them."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from enum import IntFlag
from pathlib import Path

_EVENTS_MAX = 4096  #: bytes
_ONLYDIR = 0x01000000


class Event(IntFlag):
    """What may be watched for: inotify(7), "inotify events"."""

    ATTRIB = 0x004
    MOVED_TO = 0x080
    CREATE = 0x100
    DELETE_SELF = 0x400


class Inotify:
    """An instance of inotify. One uid has only 128 of them, so its owner closes it."""

    def __init__(self) -> None:
        """Raises OSError where no instance is left."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")

    def watch(self, folder: Path, events: Event) -> bool:
        """Watch `folder` from now on. False if it is not there."""
        mask = int(events) | _ONLYDIR
        added: int = self._libc.inotify_add_watch(self.fd, os.fsencode(folder), mask)
        return added >= 0

    def drain(self) -> None:
        """Forget what has happened so far."""
        with suppress(BlockingIOError):
            os.read(self.fd, _EVENTS_MAX)

    def close(self) -> None:
        os.close(self.fd)
