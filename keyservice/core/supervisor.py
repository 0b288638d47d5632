# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The supervisor that started the service, if it asks for the service's state: sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

#: Seconds that a message may wait for a supervisor that does not read.
_PATIENCE = 1.0


class Supervisor:
    """Is told when the service is ready and when it stops, and gets heartbeats in between.

    The event loop sends the heartbeat: if something blocks the loop, no heartbeat is sent.
    """

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """`address`: of its datagram socket, a path or ``@`` and an abstract name; if it is empty
        or of another kind, nobody listens. `watchdog`: seconds without a heartbeat after which the
        supervisor takes the service for hung."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval = None if watchdog is None else watchdog / 2
        self._next: asyncio.TimerHandle | None = None

    @classmethod
    def of_environment(cls, environ: MutableMapping[str, str]) -> Supervisor:
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say, which are taken out of `environ`,
        so that no child speaks in our name."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        meant = environ.pop("WATCHDOG_PID", str(os.getpid()))
        if not address.startswith(("/", "@")):
            return cls()
        if not microseconds.isdecimal() or not int(microseconds) or meant != str(os.getpid()):
            return cls(address)
        return cls(address, int(microseconds) / 1e6)

    def ready(self) -> None:
        """The service serves; heartbeats follow until :meth:`stopping`."""
        self._say("READY=1")
        self._schedule()

    def stopping(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._say("STOPPING=1")

    def _schedule(self) -> None:
        if self._address and self._interval is not None:
            loop = asyncio.get_running_loop()
            self._next = loop.call_later(self._interval, self._live)

    def _live(self) -> None:
        self._say("WATCHDOG=1")
        self._schedule()

    def _say(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.settimeout(_PATIENCE)
            to.connect(self._address)
            to.send(state.encode())
