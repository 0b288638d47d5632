# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Waits for a file to appear, without looking again and again."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

from keyservice.core.inotify import Event, Inotify


class Appearance:
    """Tells when something new is in the folder of `path`, or in the nearest one that exists."""

    def __init__(self, path: Path) -> None:
        """Watch from now on. Raises OSError where inotify cannot."""
        self._inotify = Inotify()
        folder = next(each for each in path.parents if each.is_dir())
        if not self._inotify.watch(folder, Event.CREATE | Event.MOVED_TO):
            self.close()
            raise OSError(errno.ENOENT, "inotify_add_watch")

    async def wait(self, seconds: float) -> bool:
        """Whether anything new appeared within `seconds`."""
        loop = asyncio.get_running_loop()
        appeared = loop.create_future()

        def readable() -> None:
            self._inotify.drain()
            if not appeared.done():
                appeared.set_result(None)

        loop.add_reader(self._inotify.fd, readable)
        try:
            async with asyncio.timeout(seconds):
                await appeared
                return True
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._inotify.fd)

    def close(self) -> None:
        self._inotify.close()
