# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The server on the sockets: who may connect, how many at once, and what a flood may delay.

``root.sock`` takes uid 0 only. On ``user.sock`` each uid has 8 connections, and the surplus is
closed at accept. All users together have a limit too; at that limit the oldest connection that
holds no session makes room, since one person may own many uids (subordinate ones) and must not
shut out the others. After a surplus the listener rests for a moment: so a flood costs the service
only a bounded share of its time, and a login over ``root.sock`` gets the rest.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from keyservice.access.conversation import ROOT_SOURCE, Caller
from keyservice.access.session import Owner, Sessions

from .caller import Peer, Process, identify, may_not_ask, peer_of
from .connection import Connection, Patience
from .listeners import Listeners

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and how fast they are taken."""

    per_uid: int = 8  #: on user.sock
    users: int = 128  #: on user.sock, of all uids together
    root: int = 320  #: on root.sock: 256 sessions, and answers to sessions of the bus
    batch: int = 8  #: accepted in one turn of the event loop
    rest: float = 0.01  #: seconds that a listener rests after a surplus
    starved: float = 1.0  #: seconds that it rests when descriptors or memory ran out
    complaint: float = 60.0  #: seconds between two log lines about a surplus


class Sockets:
    """Serves both listeners until :meth:`stop`."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        limits: Limits | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._sessions = sessions
        self._limits, self._patience = limits or Limits(), patience or Patience()
        self._numbers = itertools.count(1)
        self._listeners: Listeners | None = None
        self._gates: list[_Gate] = []

    def start(self, listeners: Listeners) -> None:
        """Take connections from now on. Owns `listeners`."""
        self._listeners = listeners
        limits = self._limits
        self._gates = [
            _Gate(
                listeners.root,
                ROOT_SOURCE,
                self._serve,
                limits,
                most=limits.root,
                most_per_uid=limits.root + 1,  # all are root's, and the oldest makes room
                root_only=True,
            ),
            _Gate(
                listeners.user,
                "user.sock",
                self._serve,
                limits,
                most=limits.users,
                most_per_uid=limits.per_uid,
                root_only=False,
            ),
        ]

    def stop(self) -> None:
        """Close everything; sessions that run end as cancelled."""
        for gate in self._gates:
            gate.stop()
        self._gates.clear()
        if self._listeners is not None:
            self._listeners.close()
            self._listeners = None

    def _serve(self, gate: _Gate, connection: socket.socket, peer: Peer) -> Connection:
        process = Process.of_socket(connection, peer)

        def who() -> Caller:
            caller = identify(peer.uid, process, gate.source)
            process.close()  # asked once: a thousand sessions need not hold a thousand processes
            return caller

        def closed(gone: Connection) -> None:
            process.close()
            gate.forget(gone, peer.uid)

        return Connection(
            connection,
            Owner(peer.uid, f"socket-{next(self._numbers)}"),
            who,
            self._sessions,
            closed,
            self._patience,
        )


class _Gate:
    """One listener, and the connections that came through it, oldest first."""

    def __init__(
        self,
        listener: socket.socket,
        source: str,
        serve: Callable[[_Gate, socket.socket, Peer], Connection],
        limits: Limits,
        *,
        most: int,
        most_per_uid: int,
        root_only: bool,
    ) -> None:
        self.source = source
        self._listener, self._serve, self._limits = listener, serve, limits
        self._most, self._most_per_uid, self._root_only = most, most_per_uid, root_only
        self._connections: dict[Connection, None] = {}
        self._per_uid: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self._watch()

    def _watch(self) -> None:
        self._rest = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._rest = self._loop.call_later(seconds, self._watch)

    def stop(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._listener.fileno())
        for connection in list(self._connections):
            connection.close()

    def _accept(self) -> None:
        surplus = False
        for _ in range(self._limits.batch):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:  # out of descriptors or memory
                _LOG.error("%s: accept: %s", self.source, error.strerror)
                self._pause(self._limits.starved)
                return
            peer = peer_of(connection)
            if self._admit(peer):
                connection.setblocking(False)
                self._connections[self._serve(self, connection, peer)] = None
                self._per_uid[peer.uid] += 1
            else:
                surplus = True
                connection.close()
                self._complain(peer)
        if surplus:
            self._pause(self._limits.rest)

    def _admit(self, peer: Peer) -> bool:
        """Whether one more of `peer` fits, if need be in the place of the oldest idle one.

        The mode of ``root.sock`` lets only root reach it; a process that has only
        CAP_DAC_OVERRIDE is turned away here. On either socket, so is a process of our own
        that would be taken for root's.
        """
        if self._root_only and peer.uid != 0:
            return False
        if may_not_ask(peer.uid, peer.pid):
            return False
        if self._per_uid[peer.uid] >= self._most_per_uid:
            return False
        if len(self._connections) < self._most:
            return True
        oldest = next((each for each in self._connections if each.idle), None)
        if oldest is None:
            return False
        oldest.close()
        return True

    def forget(self, connection: Connection, uid: int) -> None:
        """`connection` has closed."""
        del self._connections[connection]
        self._per_uid[uid] -= 1
        if not self._per_uid[uid]:
            del self._per_uid[uid]

    def _complain(self, peer: Peer) -> None:
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + self._limits.complaint
            _LOG.warning("%s: a connection of uid %d was turned away", self.source, peer.uid)
