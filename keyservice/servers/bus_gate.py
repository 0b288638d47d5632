# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The gate before the D-Bus library: of all that strangers send, only calls of our own methods
reach its parser.

dbus-fast 5.2.0 parses, on the event loop, all that any peer of the bus sends: up to 128 MB at
once. It builds a tree for each signature that it has not seen (it keeps 4096 of them, up to
200 MB), and it gives up its connection for a message type that the specification tells it to
ignore. So this gate looks at each message first, at its header alone. It lets pass: replies and
signals by the bus itself, and calls of at most 64 KiB with a signature that one of our methods has.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from keyservice.contract.dbus_wire import Head, MessageType, Splitter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

#: Bytes of a message. Ours have at most a few thousand; a reply by the bus no more.
MESSAGE_MAX = 65536
#: Bytes taken in one turn of the event loop, so that a flood on the bus leaves room for others.
READ_MAX = 4096
_BUS = "org.freedesktop.DBus"


class Gate:
    """Decides message by message. A call that does not pass is handed to `refused`."""

    def __init__(self, signatures: frozenset[str], refused: Callable[[Head], None]) -> None:
        self._signatures, self._refused = signatures, refused
        self._splitter = Splitter(MESSAGE_MAX)
        self.in_force = False  #: something came through the gate, and nothing comes any other way

    def admit(self, received: bytes) -> bytes:
        """The whole messages that `received` completes and that pass, one after the other."""
        self.in_force, admitted = True, []
        for message in self._splitter.feed(received):
            if message.head is None:
                continue
            if message.data is not None and self._passes(message.head):
                admitted.append(message.data)
            elif message.head.type == MessageType.METHOD_CALL and not message.head.no_reply:
                self._refused(message.head)
        return b"".join(admitted)

    def _passes(self, head: Head) -> bool:
        if head.type == MessageType.METHOD_CALL:
            return head.signature in self._signatures
        return head.sender == _BUS and head.type in (
            MessageType.METHOD_RETURN,
            MessageType.ERROR,
            MessageType.SIGNAL,
        )


class GatedSocket(socket.socket):
    """A unix socket whose recv() gives what the gate admits, from the moment there is one.

    Its send() returns 0 instead of "would block". dbus-fast 5.2.0 gives up its connection for that
    error, so anybody could end the connection with more calls at once than the bus reads replies.
    """

    gate: Gate | None = None

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As ``socket.recv``; "would block" when nothing of what came may pass.

        May give more than `size` bytes: whole messages, as many as were completed, since the
        library asks again only when the socket itself is readable.
        """
        if self.gate is None:
            return super().recv(size, flags)
        received = super().recv(READ_MAX, flags)
        if not received:
            return b""
        admitted = self.gate.admit(received)
        if not admitted:
            raise BlockingIOError(errno.EAGAIN, "nothing that passes")
        return admitted

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """As ``socket.send``; 0 where the bus takes nothing now."""
        try:
            return super().send(data, flags)
        except (BlockingIOError, InterruptedError):
            return 0
