# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The process of a softkey: a card, its reader, and the socket that steers it."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections import deque
from dataclasses import fields
from typing import Any

from .card import Card
from .control import socket_path
from .link import Link
from .loop import Loop
from .misbehave import Faults, Misbehaving
from .server import Server
from .state import Pin, State, StateError, StateFile
from .switches import changed
from .traits import Traits
from .usbip import Usbip

#: APDUs that are remembered for ``Control.apdus()``
_LOG = 65536


class Runner:
    """One ukey in front of one virtual reader, for as long as :meth:`run` runs."""

    def __init__(
        self, file: StateFile, address: tuple[str, int], *, reader: type[Link | Usbip] = Link
    ) -> None:
        """Raises :class:`StateError`: a bad state file, or another process that runs on it."""
        self._lock = _lock(file)
        self._card = Card(file)
        self._faulty: Misbehaving | None = None
        self._log: deque[tuple[int, int]] = deque(maxlen=_LOG)
        self._busy = 0  # nanoseconds
        self._loop = Loop()
        self._loop.stop_at_signals(signal.SIGTERM, signal.SIGINT)
        self._link = reader(
            self._loop, address, apdu=self._apdu, reset=self._card.reset, seen=self._seen
        )
        self._server = Server(self._loop, socket_path(file.path), self._request)

    @property
    def serial(self) -> str:
        return self._card.state.serial

    def insert(self) -> None:
        self._link.insert()

    def misbehave(self, switches: dict[str, Any]) -> None:
        """Replace faults and passing traits. Raises :class:`ValueError`."""
        faults = {entry.name for entry in fields(Faults)}
        traits = {entry.name for entry in fields(Traits)}
        for name in switches:
            if name not in faults | traits:
                raise ValueError(f"there is no switch {name!r}")
        given = {name: value for name, value in switches.items() if name in faults}
        if "ins" in given:
            given["ins"] = tuple(given["ins"])
        made = Faults(**given)
        self._card.adopt(**{name: switches[name] for name in switches if name in traits})
        self._faulty = Misbehaving(self._card, made) if made else None

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        try:
            self._loop.run()
        finally:
            self._link.remove()
            self._server.close()

    def _apdu(self, apdu: bytes) -> None:
        if self._faulty is None:
            since = time.perf_counter_ns()
            answer = self._card.transmit(apdu)
            self._busy += time.perf_counter_ns() - since
            self._log.append((apdu[1], answer[-2] << 8 | answer[-1]))
            self._link.answer(answer)
            return
        reply = self._faulty.transmit(apdu, self._link.connected_at)
        sw = int.from_bytes((reply.answer or b"")[-2:], "big")
        self._log.append((apdu[1], sw))
        if reply.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if reply.pull:
            self._faulty.disarm()
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
            return {"apdus": list(self._log)}
        elif do == "reset-apdus":
            self._log.clear()
        else:
            raise ValueError(f"there is no request {do!r}")
        return {}

    def _status(self) -> dict[str, Any]:
        host, port = self._link.address
        return describe(self._card.state) | {
            "running": True,
            "inserted": self._link.inserted,
            "seen": self._link.seen,
            "reader": f"{host}:{port}",
            "apdus": len(self._log),
            "busy": self._busy / 1e6,
            "misbehaving": changed(self._faulty.faults) if self._faulty else {},
            "traits": changed(self._card.traits),
        }


def describe(state: State) -> dict[str, Any]:
    """What may be told of a ukey: no PIN, no private key."""
    return {
        "serial": state.serial,
        "label": state.label,
        "running": False,
        "inserted": False,
        "traits": changed(state.traits),
        "device_tries_left": state.device.left,
        "applications": [
            {
                "name": application.name,
                "user": _tries(application.user),
                "admin": _tries(application.admin),
                "containers": [
                    {
                        "name": container.name,
                        "point": container.key.point.hex() if container.key else None,
                    }
                    for container in application.containers
                ],
            }
            for application in state.applications
        ],
    }


def _tries(pin: Pin) -> dict[str, Any]:
    return {"left": pin.left, "maximum": pin.maximum, "default": pin.default}


def _lock(file: StateFile) -> int:
    """Keep a second process off the state. The kernel lets go of the lock when this one ends."""
    path = file.path.with_name(file.path.name + ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StateError(f"another softkey runs on {file.path}") from None
    except OSError as error:
        raise StateError(f"{path} cannot be locked: {error.strerror}") from None
    return handle
