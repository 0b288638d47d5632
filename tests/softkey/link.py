# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey's end of vpcd: a TCP client of pcscd's virtual reader.

A ukey is in the reader while the connection stands. vpcd accepts a connection, and notices a closed
one, only when pcscd polls the reader, every 400 ms: nothing on this side makes it faster (answering
the poll with an empty ATR makes vpcd close the connection at that same poll).

Frames are a 16-bit big-endian length and a body. One byte is control: 0 off, 1 on, 2 reset, 4 ATR
(to be answered; it is the poll too). Anything else is a command APDU.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from .loop import IN, OUT, Loop, Timer

#: T=1, historical bytes "SOFTKEY"
ATR = bytes.fromhex("3B8701") + b"SOFTKEY"
ATR += bytes((ATR[1] ^ ATR[2] ^ 0x53 ^ 0x4F ^ 0x46 ^ 0x54 ^ 0x4B ^ 0x45 ^ 0x59,))

_OFF, _ON, _RESET, _ATR = 0, 1, 2, 4
_READ = 2 + 0xFFFF

#: seconds between attempts to reach vpcd: the first, and the last of a doubling row
_RETRY_FIRST, _RETRY_LAST = 0.02, 0.25
#: vpcd's backlog holds one connection; behind a dead one, ours would wait a second for TCP's retry
_CONNECT_DEADLINE = 0.25


class Link:
    """Calls `apdu` for each command and `reset` at each change of power."""

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        *,
        apdu: Callable[[bytes], None],
        reset: Callable[[], None],
        seen: Callable[[], None],
    ) -> None:
        self.address = address
        self.inserted = False  #: whether it is meant to be in the reader
        self.seen = False  #: whether pcscd has polled it since it was inserted
        self.connected_at = 0.0
        self._loop = loop
        self._apdu = apdu
        self._reset = reset
        self._on_seen = seen
        self._sock: socket.socket | None = None
        self._buffer = b""
        self._timer: Timer | None = None  #: of the next attempt, or the deadline of this one
        self._answer: Timer | None = None
        self._retry = _RETRY_FIRST

    def insert(self) -> None:
        if not self.inserted:
            self.inserted = True
            self._retry = _RETRY_FIRST
            self._connect()

    def remove(self) -> None:
        """Pull it out: the answer under way is lost."""
        self.inserted = False
        self._close()

    def answer(self, answer: bytes, delay: float = 0.0) -> None:
        """Answer the command, after `delay` seconds unless it is pulled out before."""
        if delay > 0:
            self._answer = self._loop.later(delay, lambda: self.answer(answer))
            return
        frame = len(answer).to_bytes(2, "big") + answer
        try:
            # An answer is far smaller than a socket's buffer.
            if self._sock is not None and self._sock.send(frame) != len(frame):
                self._lost()
        except OSError:
            self._lost()

    # -- connecting

    def _connect(self) -> None:
        self._timer = None
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        if sock.connect_ex(self.address) not in (0, errno.EINPROGRESS):
            self._lost()
            return
        self._timer = self._loop.later(_CONNECT_DEADLINE, self._lost)
        self._loop.watch(sock.fileno(), OUT, self._connected)

    def _connected(self) -> None:
        sock = self._sock
        assert sock is not None
        self._loop.cancel(self._timer)
        self._timer = None
        # vpcd's port lies in the range of ephemeral ports: with nobody listening, a connection can
        # meet itself.
        try:
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            failed = failed or sock.getsockname() == sock.getpeername()
        except OSError:
            failed = True
        if failed:
            self._lost()
            return
        self.connected_at = time.monotonic()
        self._reset()
        self._loop.watch(sock.fileno(), IN, self._readable)

    def _lost(self) -> None:
        """vpcd is not there, or no longer: try again, unless the ukey was pulled out."""
        self._close()
        if self.inserted:
            self._timer = self._loop.later(self._retry, self._connect)
            self._retry = min(2 * self._retry, _RETRY_LAST)

    def _close(self) -> None:
        self._loop.cancel(self._timer)
        self._loop.cancel(self._answer)
        self._timer = self._answer = None
        self.seen = False
        self._buffer = b""
        if self._sock is not None:
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None
            self._reset()

    # -- frames

    def _readable(self) -> None:
        sock = self._sock
        assert sock is not None
        try:
            # Some builds of vpcd send length and body apart: without an immediate ACK of the
            # first, the second comes 40 ms later. The kernel forgets the option by itself.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            chunk = sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lost()
            return
        buffer = self._buffer + chunk if self._buffer else chunk
        while len(buffer) >= 2:
            end = 2 + (buffer[0] << 8 | buffer[1])
            if len(buffer) < end:
                break
            body, buffer = buffer[2:end], buffer[end:]
            self._buffer = buffer
            if len(body) > 1:
                self._apdu(body)
            elif body:
                self._control(body[0])
            if self._sock is not sock:  # pulled out meanwhile
                return
        self._buffer = buffer

    def _control(self, code: int) -> None:
        if code == _ATR:
            self.answer(ATR)
            if not self.seen:
                self.seen = True
                self._retry = _RETRY_FIRST
                self._on_seen()
        elif code in (_OFF, _ON, _RESET):
            self._reset()
