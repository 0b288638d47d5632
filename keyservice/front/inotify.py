# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Wait for a file to appear without looking again and again: inotify(7), by ctypes."""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import suppress
from pathlib import Path

_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_IN_MOVED_TO, _IN_CREATE, _IN_ONLYDIR = 0x80, 0x100, 0x01000000
_EVENTS_MAX = 4096  #: bytes


class Appearance:
    """Tells when something new is in the folder of `path`, or in the nearest one that exists."""

    def __init__(self, path: Path) -> None:
        """Watch from now on. Raises OSError where inotify cannot."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        folder = next(each for each in path.parents if each.is_dir())
        mask = _IN_CREATE | _IN_MOVED_TO | _IN_ONLYDIR
        if libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            self.close()
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    async def wait(self, seconds: float) -> bool:
        """Whether anything new appeared within `seconds`."""
        loop = asyncio.get_running_loop()
        appeared = loop.create_future()

        def readable() -> None:
            with suppress(BlockingIOError):
                os.read(self._fd, _EVENTS_MAX)
            if not appeared.done():
                appeared.set_result(None)

        loop.add_reader(self._fd, readable)
        try:
            async with asyncio.timeout(seconds):
                await appeared
                return True
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)

    def close(self) -> None:
        os.close(self._fd)
