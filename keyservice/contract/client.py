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

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from . import frames
from .bus import Bus, Event, EventKind
from .channel import (
    ClientError,
    NotTrusted,
    ProtocolError,
    ServiceRefused,
    TimedOut,
    Unreachable,
    session_deadline,
)
from .frames import FrameError, Kind
from .link import FrameLink, refusal_of, send_answer, socket_path
from .names import DEADLINE_DEFAULT, SESSION_ID_BYTES, ErrorName, Operation
from .requests import RequestError, Value, build_begin
from .steps import Prompt, Step, Verdict

__all__ = [
    "Bus",
    "ClientError",
    "Conversation",
    "Event",
    "EventKind",
    "NotTrusted",
    "ProtocolError",
    "ServiceRefused",
    "SocketSession",
    "TimedOut",
    "Unreachable",
]


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
        self._timeout, deadline = session_deadline(timeout)
        self._link = FrameLink(path or socket_path(), deadline)
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
                raise refusal_of(body)
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
            send_answer(self._link, self._id, answer)
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
