# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A unix socket with one deadline, and its errors: all clients are built on it.

Nothing here reads the environment, and nothing waits longer than the deadline that the caller
set before connecting.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping

from keyservice.contract.names import DEADLINE_MAX, ErrorName
from keyservice.core.reasons import WHY, Reason, is_known, system, told

#: Seconds that a client waits past the session's own deadline, so that the verdict still arrives.
GRACE = 5.0

_PEERCRED = struct.Struct("iII")
_TIMEVAL = struct.Struct("ll")


class ClientError(Exception):
    """The keyservice could not be asked, or made no sense. ``str()`` is one English sentence.

    `reason`: a name of ``core.reasons`` with its `facts`, or a sentence that only logs are for.
    """

    def __init__(self, reason: str, /, **facts: object) -> None:
        super().__init__(told(reason, facts))
        #: ``why``, and beside it what its text needs
        self.facts: dict[str, object] = {**facts, WHY: str(reason)}


class Unreachable(ClientError):
    """The keyservice, or the bus, is not there."""


class NotTrusted(ClientError):
    """The process that answers is not root's."""


class TimedOut(ClientError):
    """The deadline passed without an answer."""


class ProtocolError(ClientError):
    """The answer is not one that the keyservice gives."""


class ServiceRefused(ClientError):
    """The keyservice answered with a named error; `text` is one English sentence, and `reason` says
    the same as data where it has a name: ``why``, and facts beside it."""

    def __init__(
        self, name: ErrorName, text: str, reason: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(text or name.value)
        self.name, self.text = name, text
        if reason and is_known(reason.get(WHY)):
            self.facts |= reason


class Deadline:
    """A point in monotonic time by which everything is done; None for no such point."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, more than 0. Raises :class:`TimedOut`."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimedOut(Reason.LATE)
        return left


def session_deadline(timeout: float, grace: float | None = None) -> tuple[int, Deadline]:
    """(seconds for the service, 1 to 300; the client's own deadline).

    The latter is later by `grace` seconds, ``GRACE`` where none are given.
    """
    seconds = min(max(1, int(timeout)), DEADLINE_MAX)
    return seconds, Deadline(seconds + (GRACE if grace is None else grace))


class Channel:
    """A connected unix stream socket, every call bounded by `deadline`."""

    def __init__(self, path: str, deadline: Deadline) -> None:
        self.deadline = deadline
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._connect(path)
        except BaseException:
            self._socket.close()
            raise

    def _connect(self, path: str) -> None:
        # A blocking connect with SO_SNDTIMEO waits for room in the listener's queue; Python's own
        # timeout would make the socket non-blocking, and a full queue an error at once.
        left = self.deadline.remaining()
        if left is not None:
            span = _TIMEVAL.pack(int(left), max(1, int(left % 1 * 1_000_000)))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)
        try:
            self._socket.connect(path)
        except BlockingIOError:
            raise TimedOut(Reason.FULL, path=path) from None
        except OSError as error:
            raise Unreachable(Reason.CONNECT, path=path, reason=system(error)) from None

    def require_root(self) -> None:
        """Raises :class:`NotTrusted` unless the listener has uid 0 (SO_PEERCRED)."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
        uid = _PEERCRED.unpack(raw)[1]
        if uid != 0:
            raise NotTrusted(Reason.SERVED_BY, uid=uid)

    def send(self, data: bytes | bytearray) -> None:
        """Send all of `data`. Raises :class:`Unreachable` when the other side has closed."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                self._socket.settimeout(self.deadline.remaining())
                try:
                    sent += self._socket.send(view[sent:], socket.MSG_NOSIGNAL)
                except TimeoutError:
                    continue  # remaining() reports it
                except OSError as error:
                    raise Unreachable(Reason.BROKEN, reason=system(error)) from None

    def receive_into(self, view: memoryview) -> int:
        """Receive at least one byte into `view`; 0 at the end of input."""
        while True:
            self._socket.settimeout(self.deadline.remaining())
            try:
                return self._socket.recv_into(view)
            except TimeoutError:
                continue
            except ConnectionResetError:
                return 0
            except OSError as error:
                raise Unreachable(Reason.BROKEN, reason=system(error)) from None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
