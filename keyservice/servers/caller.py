# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The caller, as the kernel tells it: the one place that fills in a ``Caller``.

The socket or the bus daemon tells the effective uid, so it is always known. Everything else is
read from /proc, and believed only while the same process is shown to live: a pidfd holds it from
before the reading to after it. A fact that cannot be told is None, which policy treats as the
strictest case.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keyservice.access import sdlogin
from keyservice.access.conversation import Caller
from keyservice.core import offspring
from keyservice.core.processes import stat_of, uids_of

_LOG = logging.getLogger(__name__)

_PEERCRED = struct.Struct("iII")
#: Linux 6.5; Python has no name for it. Elsewhere pidfd_open() follows SO_PEERCRED.
_SO_PEERPIDFD = 77
#: (uid_t) -1: no login uid was ever set.
_UNSET = 0xFFFFFFFF

#: Seconds between two log lines about a process of our own.
_COMPLAINT = 60.0
_quiet_until = 0.0


@dataclass(frozen=True, slots=True)
class Peer:
    """SO_PEERCRED: who connected. `pid` is 0 for a process outside our pid namespace."""

    uid: int
    pid: int


def peer_of(connection: socket.socket) -> Peer:
    """The effective uid and the pid of the process that connected, at the time of connect()."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    pid, uid, _gid = _PEERCRED.unpack(raw)
    return Peer(uid, pid)


def may_not_ask(uid: int, pid: int) -> bool:
    """Whether a caller does not speak for root although it is uid 0.

    Such a caller is a device worker, or comes from one: then somebody has taken that over. Or it
    has ended since it connected, and nobody can tell any more where it came from.
    """
    if uid != 0 or pid <= 0:
        return False
    if offspring.holds(pid):
        _complain(pid)
        return True
    return _ended(pid)


def _complain(pid: int) -> None:
    global _quiet_until
    if time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + _COMPLAINT
        _LOG.error("process %d, a device worker or from one, asks as root: turned away", pid)


def _ended(pid: int) -> bool:
    try:
        os.close(os.pidfd_open(pid))
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Process:
    """A process held by a pidfd, so that its number cannot pass to another one unnoticed."""

    __slots__ = ("pid", "pidfd")

    def __init__(self, pid: int, pidfd: int | None) -> None:
        self.pid, self.pidfd = pid, pidfd

    @classmethod
    def unknown(cls) -> Process:
        return cls(0, None)

    @classmethod
    def of_pid(cls, pid: int) -> Process:
        """Hold `pid`; unknown if there is no such process (any more)."""
        if pid <= 0:
            return cls.unknown()
        try:
            return cls(pid, os.pidfd_open(pid))
        except OSError:
            return cls.unknown()

    @classmethod
    def of_socket(cls, connection: socket.socket, peer: Peer) -> Process:
        """Hold the process that connected; by SO_PEERPIDFD without any gap, where there is one."""
        if peer.pid <= 0:
            return cls.unknown()
        try:
            return cls(peer.pid, connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
        except OSError:
            return cls.of_pid(peer.pid)

    def alive(self) -> bool:
        """Whether the number still means this process. A zombie counts: its number is taken."""
        if self.pidfd is None:
            return False
        try:
            signal.pidfd_send_signal(self.pidfd, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def close(self) -> None:
        if self.pidfd is not None:
            with suppress(OSError):
                os.close(self.pidfd)
            self.pidfd = None


def identify(uid: int, process: Process, source: str) -> Caller:
    """All that is known of the caller with effective uid `uid`.

    A process that is gone, that hides something, or that has not `uid` among its own, is not
    described at all: pid 0, and None for the rest.
    """
    pid, pidfd = process.pid, process.pidfd
    if pidfd is not None and process.alive():
        with suppress(OSError, ValueError):
            uids, loginuid = uids_of(pid), _loginuid(pid)
            session, stat = sdlogin.session_of(pid, pidfd), stat_of(pid)
            if uid in uids and process.alive():
                return Caller(
                    uid, pid, uids[0], loginuid, session, source, stat.terminal, stat.started
                )
    return Caller(uid, 0, None, None, None, source)


def _loginuid(pid: int) -> int | None:
    """The audit login uid; None where it is unset, or where the kernel keeps none."""
    try:
        value = int(Path(f"/proc/{pid}/loginuid").read_bytes())
    except FileNotFoundError:
        return None
    return None if value == _UNSET else value
