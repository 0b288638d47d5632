# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions as a client holds them: over the sockets, or over the bus, with the same calls.

    with SocketSession(timeout=60) as session:
        for step in session.begin(operations.AUTHENTICATION, user="alice", service="su"):
            match step:
                case Info(text) | Error(text) | Wait(text):
                    show(text)
                case Prompt(text, echo):
                    session.answer(read(text, echo))  # a bytearray, wiped when it was sent
                case Verdict(code):
                    return code

The iterator ends after the verdict and never without one: all else that happens is a
:class:`ClientError`, and a named refusal by the service is a :class:`ServiceRefused`. One deadline
runs from the constructor on. Standard library only; the bus imports jeepney when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from keyservice.contract import frames
from keyservice.contract.frames import FrameError, Kind
from keyservice.contract.names import DEADLINE_DEFAULT, SESSION_ID_BYTES, ErrorName
from keyservice.contract.operations import Operation
from keyservice.contract.requests import RequestError, Value, build_begin
from keyservice.contract.steps import Prompt, Step, Verdict
from keyservice.core.closing import Closing

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
from .link import FrameLink, refusal_of, send_answer, socket_path

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
        """Begin, and yield the steps up to and with the verdict. `fields`: ``Operation.fields``."""
        ...

    def answer(self, answer: bytearray) -> None:
        """Answer the prompt that was yielded last. `answer` is wiped, whatever happens."""
        ...

    def cancel(self) -> None:
        """Ask the service to end the session; the steps go on to its verdict."""
        ...

    def close(self) -> None: ...


class SocketSession(Closing):
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
            raise ServiceRefused(ErrorName.BAD_REQUEST, str(error), error.facts) from None
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
