# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keeps the service on the bus. The service needs no bus: while there is none, it serves only the
sockets, and waits for a bus to appear."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from keyservice.access.session import Sessions
from keyservice.contract.names import SYSTEM_BUS

from . import bus_methods
from .appearance import Appearance
from .bus import BusAbsent, BusConnection
from .bus_answers import Administration

_LOG = logging.getLogger(__name__)

#: Seconds between attempts to reach a bus that is not there; the last number is repeated. A new
#: socket starts them again at once.
_ATTEMPTS = (0.05, 0.2, 1.0, 5.0, 15.0, 30.0)


class BusService:
    """The service's presence on the bus, for as long as :meth:`run` runs."""

    def __init__(
        self, sessions: Sessions, administration: Administration, *, address: str = SYSTEM_BUS
    ) -> None:
        """`address`: ``unix:path=…``."""
        self._sessions, self._administration, self._address = sessions, administration, address
        self._connection: BusConnection | None = None
        self._missed = False
        self._last = ""  #: the name of the last connection

    async def run(self) -> None:
        """Serve, again whenever the bus comes back, until cancelled."""
        path = Path(self._address.removeprefix("unix:path="))
        attempt = 0
        while True:
            appearance = _watch(path)
            try:
                if await self._serve():
                    attempt = 0
                wait = _ATTEMPTS[min(attempt, len(_ATTEMPTS) - 1)]
                attempt += 1
                if appearance is None:
                    await asyncio.sleep(wait)
                elif await appearance.wait(wait):
                    attempt = 0
            finally:
                if appearance is not None:
                    appearance.close()

    async def _serve(self) -> bool:
        """Serve over one connection until it ends. Returns whether there was one."""
        connection = BusConnection(
            self._address, self._sessions, self._administration, last=self._last
        )
        try:
            await connection.open()
            self._connection, self._missed = connection, False
            _LOG.info("on the bus")
            await connection.closed()
        except BusAbsent as absent:
            if not self._missed:
                _LOG.warning("no bus (%s): the sockets are served without it", absent)
            self._missed = True
            return False
        except Exception:
            _LOG.exception("the bus is left and tried again")
            return False
        finally:
            self._connection = None
            self._last = connection.name or self._last
            await connection.close()
        _LOG.warning("the bus is gone: the sockets are served without it")
        return True

    def ukey_inserted(self, reader: str) -> None:
        """Tell everybody that a ukey is in `reader`, and nothing more about it."""
        if self._connection is not None:
            self._connection.signal(bus_methods.INSERTED, reader)

    def ukey_removed(self, reader: str) -> None:
        if self._connection is not None:
            self._connection.signal(bus_methods.REMOVED, reader)


def _watch(path: Path) -> Appearance | None:
    try:
        return Appearance(path)
    except OSError:
        return None  # no inotify instance is left: the attempts go on by the clock
