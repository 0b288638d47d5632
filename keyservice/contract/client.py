# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a client holds a session with: over the sockets, or over the bus, with the same calls.

    with SocketSession(timeout=60) as session:
        for step in session.begin(Operation.AUTHENTICATION, user="alice", service="su"):
            match step:
                case Info(text) | Error(text) | Wait(text):
                    show(text)
                case Prompt(text, echo):
                    session.answer(read(text, echo))  # a bytearray, wiped when it was sent
                case Verdict(code):
                    return code

The iterator ends after the verdict and never without one: whatever else happens is a
:class:`ClientError`, a named refusal by the service a :class:`ServiceRefused`. One deadline runs
from the constructor on. Standard library only; the bus brings jeepney in when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from . import frames
from .channel import (
    Channel,
    ClientError,
    Deadline,
    NotTrusted,
    ProtocolError,
    ServiceRefused,
    TimedOut,
    Unreachable,
)
from .frames import FrameError, Kind
from .names import (
    DEADLINE_DEFAULT,
    DEADLINE_MAX,
    FRAME_MAX,
    ROOT_SOCKET,
    SESSION_ID_BYTES,
    USER_SOCKET,
    ErrorName,
    Operation,
)
from .requests import RequestError, Value, build_begin
from .steps import Prompt, Step, Verdict

__all__ = [
    "ClientError",
    "Conversation",
    "NotTrusted",
    "ProtocolError",
    "ServiceRefused",
    "SocketSession",
    "TimedOut",
    "Unreachable",
]

#: Seconds that a client waits past the session's own deadline, so that the verdict still arrives.
GRACE = 5.0


class Conversation(Protocol):
    """What both kinds of session can do."""

    def begin(self, operation: Operation, **fields: Value) -> Iterator[Step]:
        """Begin, and yield the steps up to and with the verdict. `fields`: ``requests.FIELDS``."""
        ...

    def answer(self, answer: bytearray) -> None:
        """Answer the prompt that was yielded last. `answer` is wiped, whatever happens."""
        ...

    def cancel(self) -> None:
        """Ask the service to end the session; the steps go on to its verdict."""
        ...

    def close(self) -> None: ...


class SocketSession:
    """One session over ``root.sock`` (euid 0) or ``user.sock``."""

    def __init__(self, *, timeout: float = DEADLINE_DEFAULT, path: str | None = None) -> None:
        """Connect. `timeout`: seconds for the whole session, 1 to 300.

        Raises :class:`Unreachable`, :class:`NotTrusted`, :class:`TimedOut`.
        """
        self._timeout = min(max(1, int(timeout)), DEADLINE_MAX)
        self._link = _FrameLink(path or socket_path(), Deadline(self._timeout + GRACE))
        self._id = bytes(SESSION_ID_BYTES)
        self._asked = False

    def begin(self, operation: Operation, **fields: Value) -> Iterator[Step]:
        """See :class:`Conversation`. The session's deadline is sent along (``timeout``)."""
        try:
            frame = build_begin(operation, {"timeout": self._timeout, **fields})
        except RequestError as error:
            raise ServiceRefused(ErrorName.BAD_REQUEST, str(error)) from None
        self._link.send(frame)
        return self._steps()

    def _steps(self) -> Iterator[Step]:
        while True:
            kind, body = self._link.receive()
            if kind == Kind.REFUSED:
                raise _refusal(body)
            if kind != Kind.STEP:
                raise ProtocolError(f"a frame of kind 0x{kind:02x} instead of a step")
            try:
                self._id, step = frames.parse_step(body)
            except FrameError as error:
                raise ProtocolError(str(error)) from None
            self._asked = isinstance(step, Prompt)
            yield step
            if isinstance(step, Verdict):
                return

    def answer(self, answer: bytearray) -> None:
        """See :class:`Conversation`. An answer of more than 256 bytes is refused here."""
        try:
            if not self._asked:
                raise ClientError("nothing was asked")
            self._asked = False
            _send_answer(self._link, self._id, answer)
        finally:
            answer[:] = bytes(len(answer))

    def cancel(self) -> None:
        self._asked = False
        self._link.send(frames.build(Kind.CANCEL, {frames.Tag.SESSION: self._id}))

    def fileno(self) -> int:
        """Readable when the service has something to say, a prompt's deadline for one."""
        return self._link.fileno()

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def deliver_answer(session: bytes, answer: bytearray, deadline: Deadline) -> None:
    """Bring `answer` to a session that was begun on the bus. `answer` is wiped.

    An answer never goes over the bus: it takes a connection of its own to the service's socket.
    Raises :class:`ServiceRefused` where the service does not take it.
    """
    try:
        link = _FrameLink(socket_path(), deadline)
        try:
            _send_answer(link, session, answer)
            kind, body = link.receive()
        finally:
            link.close()
    finally:
        answer[:] = bytes(len(answer))
    if kind == Kind.REFUSED:
        raise _refusal(body)
    if kind != Kind.ACCEPTED:
        raise ProtocolError(f"a frame of kind 0x{kind:02x} after an answer")


def socket_path() -> str:
    """The socket for this process: root's own, which no user can flood, or everybody's."""
    return ROOT_SOCKET if os.geteuid() == 0 else USER_SOCKET


class _FrameLink:
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

        A service that has closed already is not an error here: what it said before, a verdict or
        a refusal, is still to be read.
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
                raise Unreachable("the keyservice closed the connection")
            self._filled += count

    def fileno(self) -> int:
        return self._channel.fileno()

    def close(self) -> None:
        self._channel.close()


def _send_answer(link: _FrameLink, session: bytes, answer: bytearray) -> None:
    try:
        frame = frames.build_answer(session, answer)
    except FrameError as error:
        raise ServiceRefused(ErrorName.BAD_REQUEST, str(error)) from None
    link.send(frame)


def _refusal(body: bytearray) -> ClientError:
    try:
        return ServiceRefused(*frames.parse_refused(body))
    except FrameError as error:
        return ProtocolError(str(error))
