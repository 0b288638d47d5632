# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sleeps until pcscd may have come, without looking for it ten times a second."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Final

from keyservice.core.inotify import Event, Inotify

#: pcscd's socket appears in the first; the first, while it is missing, appears in the second.
_FOLDERS: Final = (Path("/run/pcscd"), Path("/run"))
_EVENTS: Final = Event.ATTRIB | Event.MOVED_TO | Event.CREATE | Event.DELETE_SELF

#: Seconds between attempts: soon after something has happened, twice as long each time nothing has.
_SOON: Final = 0.02
_SELDOM: Final = 20.0


class Arrival:
    """An inotify watch on pcscd's folder, and a patience that grows."""

    def __init__(self, service: socket.socket) -> None:
        """`service` is watched too: :meth:`sleep` ends the process when its other end closes."""
        self._service = service
        self._inotify = Inotify()
        self._patience = _SOON

    def close(self) -> None:
        self._inotify.close()

    def sleep(self) -> None:
        """Sleep until something happens where pcscd's socket is, or patience ends.

        Raises :class:`ConnectionError` when the service has gone.
        """
        for folder in _FOLDERS:
            if self._inotify.watch(folder, _EVENTS):
                break
        poll = select.poll()
        poll.register(self._inotify.fd, select.POLLIN)
        poll.register(self._service, select.POLLIN)
        happened = {descriptor for descriptor, _ in poll.poll(self._patience * 1000)}
        if self._service.fileno() in happened:
            raise ConnectionError("the service has gone")
        if self._inotify.fd in happened:
            self._inotify.drain()
            self._patience = _SOON
        else:
            self._patience = min(2 * self._patience, _SELDOM)
