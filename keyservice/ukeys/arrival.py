# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sleeping until pcscd may have come, without looking for it ten times a second."""

from __future__ import annotations

import ctypes
import os
import select
import socket
from typing import Final

#: pcscd's socket appears in the first; while that is not there, it appears in the second.
_FOLDERS: Final = (b"/run/pcscd", b"/run")

#: Seconds between attempts: soon after something has happened, twice as long each time nothing has.
_SOON: Final = 0.02
_SELDOM: Final = 20.0

_IN_ATTRIB: Final = 0x004
_IN_MOVED_TO: Final = 0x080
_IN_CREATE: Final = 0x100
_IN_DELETE_SELF: Final = 0x400
_EVENTS: Final = _IN_ATTRIB | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE_SELF


class Arrival:
    """An inotify watch on pcscd's folder, and a patience that grows."""

    def __init__(self, service: socket.socket) -> None:
        """`service` is watched too: :meth:`sleep` ends the process when its other end closes."""
        self._service = service
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._patience = _SOON

    def reset(self) -> None:
        """pcscd is there; if it goes, it may be back at once."""
        self._patience = _SOON

    def sleep(self) -> None:
        """Until something happens where pcscd's socket is, or patience ends.

        Raises :class:`ConnectionError` when the service has gone.
        """
        for folder in _FOLDERS:
            if self._libc.inotify_add_watch(self._inotify, folder, _EVENTS) >= 0:
                break
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        poll.register(self._service, select.POLLIN)
        happened = {descriptor for descriptor, _ in poll.poll(self._patience * 1000)}
        if self._service.fileno() in happened:
            raise ConnectionError("the service has gone")
        if self._inotify in happened:
            os.read(self._inotify, 4096)
            self._patience = _SOON
        else:
            self._patience = min(2 * self._patience, _SELDOM)
