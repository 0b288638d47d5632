# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Frames between a client and the keyservice's sockets: the link under both kinds of session."""

from __future__ import annotations

import os

from keyservice.contract import frames
from keyservice.contract.frames import FrameError, Kind
from keyservice.contract.names import FRAME_MAX, ROOT_SOCKET, USER_SOCKET, ErrorName
from keyservice.core.closing import Closing
from keyservice.core.reasons import Reason

from .channel import (
    Channel,
    ClientError,
    Deadline,
    ProtocolError,
    ServiceRefused,
    Unreachable,
)


def socket_path() -> str:
    """The socket's path for this process: root's own, which no user can flood, or everybody's."""
    return ROOT_SOCKET if os.geteuid() == 0 else USER_SOCKET


class FrameLink(Closing):
    """Frames over a channel to the keyservice, which must be root's."""

    def __init__(self, path: str, deadline: Deadline) -> None:
        self._channel = Channel(path, deadline)
        try:
            self._channel.require_root()
        except BaseException:
            self._channel.close()
            raise
        self._buffer = bytearray(frames.HEADER.size + FRAME_MAX)
        self._filled = 0

    def send(self, frame: bytearray) -> None:
        """Send `frame` and wipe it.

        A service that has closed already is no error here: its last words, a verdict or a refusal,
        can still be read.
        """
        try:
            self._channel.send(frame)
        except Unreachable:
            pass
        finally:
            frame[:] = bytes(len(frame))

    def receive(self) -> tuple[int, bytearray]:
        """(kind, body) of the next frame."""
        self._fill(frames.HEADER.size)
        try:
            kind, length = frames.parse_header(self._buffer[: frames.HEADER.size])
        except FrameError as error:
            raise ProtocolError(str(error)) from None
        end = frames.HEADER.size + length
        self._fill(end)
        body = self._buffer[frames.HEADER.size : end]
        rest = self._filled - end
        self._buffer[:rest] = self._buffer[end : self._filled]
        self._filled = rest
        return kind, body

    def _fill(self, size: int) -> None:
        while self._filled < size:
            with memoryview(self._buffer) as view, view[self._filled :] as free:
                count = self._channel.receive_into(free)
            if count == 0:
                raise Unreachable(Reason.CLOSED)
            self._filled += count

    def fileno(self) -> int:
        return self._channel.fileno()

    def close(self) -> None:
        self._channel.close()


def send_answer(link: FrameLink, session: bytes, answer: bytearray) -> None:
    """Send the ANSWER frame. An answer of more than 256 bytes is refused here already."""
    try:
        frame = frames.build_answer(session, answer)
    except FrameError as error:
        raise ServiceRefused(ErrorName.BAD_REQUEST, str(error)) from None
    link.send(frame)


def refusal_of(body: bytearray) -> ClientError:
    """The error that a REFUSED frame means."""
    try:
        return ServiceRefused(*frames.parse_refused(body))
    except FrameError as error:
        return ProtocolError(str(error))


def deliver_answer(session: bytes, answer: bytearray, deadline: Deadline) -> None:
    """Bring `answer` to a session that was begun on the bus. `answer` is wiped.

    An answer never goes over the bus: it takes a connection of its own to the service's socket.
    Raises :class:`ServiceRefused` where the service does not take it.
    """
    try:
        with FrameLink(socket_path(), deadline) as link:
            send_answer(link, session, answer)
            kind, body = link.receive()
    finally:
        answer[:] = bytes(len(answer))
    if kind == Kind.REFUSED:
        raise refusal_of(body)
    if kind != Kind.ACCEPTED:
        raise ProtocolError(f"a frame of kind 0x{kind:02x} after an answer")
