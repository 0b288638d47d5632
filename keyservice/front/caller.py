# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who is calling, as the kernel tells it: the one place that fills in a ``Caller``.

The effective uid is the socket's or the bus daemon's word and always known. Everything else is
read from /proc, and believed only while the same process is shown to live: it is held by a pidfd
from before the reading to after it. What cannot be told is None, which policy treats as the
strictest case.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keyservice.access import sdlogin
from keyservice.access.conversation import Caller

_PEERCRED = struct.Struct("iII")
#: Linux 6.5; Python has no name for it. Elsewhere pidfd_open() follows SO_PEERCRED.
_SO_PEERPIDFD = 77
#: (uid_t) -1: no login uid was ever set.
_UNSET = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Peer:
    """SO_PEERCRED: who connected. `pid` is 0 for a process outside our pid namespace."""

    uid: int
    pid: int


def peer_of(connection: socket.socket) -> Peer:
    """The effective uid and the pid of whoever connected, at the time of connect()."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    pid, uid, _gid = _PEERCRED.unpack(raw)
    return Peer(uid, pid)


class Process:
    """A process held by pidfd, so that its number cannot pass to another one unnoticed."""

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
            uids, loginuid = _uids(pid), _loginuid(pid)
            session, terminal = sdlogin.session_of(pid, pidfd), _terminal(pid)
            if uid in uids and process.alive():
                return Caller(uid, pid, uids[0], loginuid, session, source, terminal)
    return Caller(uid, 0, None, None, None, source)


def _uids(pid: int) -> tuple[int, int, int, int]:
    """(real, effective, saved, file system) uid from /proc/PID/status."""
    status = Path(f"/proc/{pid}/status").read_bytes()
    # The kernel escapes the process's name in the first line: no newline can be in it.
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            real, effective, saved, files = (int(word) for word in line.split()[1:])
            return real, effective, saved, files
    raise ValueError("no Uid line")


def _loginuid(pid: int) -> int | None:
    """The audit login uid; None where it is unset, or where the kernel keeps none."""
    try:
        value = int(Path(f"/proc/{pid}/loginuid").read_bytes())
    except FileNotFoundError:
        return None
    return None if value == _UNSET else value


def _terminal(pid: int) -> int:
    """The device number of the controlling terminal, 0 where there is none: proc(5), tty_nr."""
    # The program's name stands before, in parentheses, and may hold some itself.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    number = int(fields[4]) & 0xFFFFFFFF  # printed as a signed one
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)
