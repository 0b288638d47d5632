# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The process of a softkey: a card, its reader, and the socket that steers it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .control import socket_path
from .link import Link
from .loop import Loop
from .misbehave import Reply
from .server import Server
from .state import StateError
from .usbip import Usbip


class Steered(Protocol):
    """A card of any kind, its present faults and its log."""

    log: deque[tuple[int, int]]

    @property
    def serial(self) -> str: ...
    def reset(self) -> None: ...
    def transmit(self, apdu: bytes, inserted_at: float) -> Reply: ...
    def misbehave(self, switches: dict[str, Any]) -> None: ...
    def status(self) -> dict[str, Any]: ...


class Runner:
    """One ukey in front of one virtual reader, for as long as :meth:`run` runs."""

    def __init__(
        self,
        path: Path,
        steer: Callable[[], Steered],
        address: tuple[str, int],
        *,
        reader: type[Link | Usbip] = Link,
    ) -> None:
        """`path` is the state file. Raises :class:`StateError`: a bad one, or another process runs
        on it."""
        self._lock = _lock(path)
        self._steered = steer()
        self._loop = Loop()
        self._loop.stop_at_signals(signal.SIGTERM, signal.SIGINT)
        self._link = reader(
            self._loop, address, apdu=self._apdu, reset=self._steered.reset, seen=self._seen
        )
        self._server = Server(self._loop, socket_path(path), self._request)

    @property
    def serial(self) -> str:
        return self._steered.serial

    def insert(self) -> None:
        self._link.insert()

    def misbehave(self, switches: dict[str, Any]) -> None:
        """Replace faults and temporary traits. Raises :class:`ValueError`."""
        self._steered.misbehave(switches)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        try:
            self._loop.run()
        finally:
            self._link.remove()
            self._server.close()

    def _apdu(self, apdu: bytes) -> None:
        reply = self._steered.transmit(apdu, self._link.connected_at)
        if reply.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if reply.pull:
            self._link.remove()
        elif reply.answer is not None:
            self._link.answer(reply.answer, reply.delay)

    def _seen(self) -> None:
        self._server.release()

    def _request(self, request: dict[str, Any]) -> dict[str, Any] | None:
        do = request["do"]
        if do == "insert":
            self._link.insert()
        elif do == "remove":
            self._link.remove()
        elif do in ("plug", "unplug"):
            if not isinstance(self._link, Usbip):
                raise ValueError("it is in a virtual reader, not at a USB port")
            self._link.plug() if do == "plug" else self._link.unplug()
        elif do == "wait-inserted":
            return {} if self._link.seen else None
        elif do == "status":
            return self._status()
        elif do == "misbehave":
            self.misbehave(request["switches"])
        elif do == "apdus":
            return {"apdus": list(self._steered.log)}
        elif do == "reset-apdus":
            self._steered.log.clear()
        else:
            raise ValueError(f"there is no request {do!r}")
        return {}

    def _status(self) -> dict[str, Any]:
        host, port = self._link.address
        return self._steered.status() | {
            "inserted": self._link.inserted,
            "seen": self._link.seen,
            "reader": f"{host}:{port}",
        }


def _lock(state: Path) -> int:
    """Keep a second process off the state. The kernel lets go of the lock when this one ends."""
    path = state.with_name(state.name + ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(f"another softkey runs on {state}") from None
    except OSError as error:
        raise StateError(f"{path} cannot be locked: {error.strerror}") from None
    return handle
