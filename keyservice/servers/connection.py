# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One connection on a socket: frames in, steps out, one session at most.

All input lands in one buffer that belongs to the connection and is overwritten after each frame; an
answer is copied once, into its ``Secret``. The connection reads and writes the socket directly:
asyncio's streams would leave copies of answers behind, and cost more than a login's own work. The
other side's silence is always bounded: before its first frame, within a frame, and while it does
not read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from keyservice.access.conversation import Caller
from keyservice.access.operations import BY_NUMBER
from keyservice.access.session import Owner, Session, Sessions
from keyservice.contract import frames
from keyservice.contract.frames import FrameError, Kind
from keyservice.contract.names import FRAME_MAX
from keyservice.contract.operations import Operation
from keyservice.contract.requests import parse_begin
from keyservice.contract.steps import Verdict
from keyservice.core.secret import Secret

from . import errors
from .requests import request_of

_LOG = logging.getLogger(__name__)
_HEADER = frames.HEADER.size


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the other side may be silent, in seconds."""

    first_frame: float = 10.0  #: from connect to the end of the first frame
    frame: float = 5.0  #: from a frame's first byte to its last
    unread: float = 5.0  #: while it does not read our answers


class _State(Enum):
    FRESH = auto()  #: nothing was begun
    SESSION = auto()  #: the session runs
    ENDING = auto()  #: all is said: unsent output is still written, further input is dropped
    CLOSED = auto()


class Connection:
    """See the module. Owned by ``Sockets``, which is told when it has closed."""

    def __init__(
        self,
        connection: socket.socket,
        owner: Owner,
        identify: Callable[[], Caller],
        sessions: Sessions,
        closed: Callable[[Connection], None],
        patience: Patience,
    ) -> None:
        self.owner = owner
        self._socket, self._fd = connection, connection.fileno()
        self._identify, self._sessions, self._closed = identify, sessions, closed
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._state = _State.FRESH
        self._session: Session | None = None
        self._steps: asyncio.Task[None] | None = None
        self._in = bytearray(_HEADER + FRAME_MAX)
        self._filled = 0
        self._out = bytearray()
        self._read = asyncio.Event()
        self._read.set()
        self._frame_timer: asyncio.TimerHandle | None = self._loop.call_later(
            patience.first_frame, self._late, "sent no request"
        )
        self._unread_timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._fd, self._readable)

    @property
    def idle(self) -> bool:
        """Whether it may be closed to make room: it holds no session."""
        return self._state is not _State.SESSION

    # -- in

    def _readable(self) -> None:
        try:
            with memoryview(self._in) as view, view[self._filled :] as free:
                count = self._socket.recv_into(free)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count == 0:
            self.close()
            return
        self._filled += count
        with memoryview(self._in) as view:
            try:
                self._take_frames(view)
            except Exception as error:
                self._refuse(error)
            if not self._listening:
                self._drop(view, self._filled)
        if self._filled and self._frame_timer is None:
            self._frame_timer = self._loop.call_later(
                self._patience.frame, self._late, "sent half a frame"
            )

    @property
    def _listening(self) -> bool:
        return self._state in (_State.FRESH, _State.SESSION)

    def _take_frames(self, view: memoryview) -> None:
        while self._filled >= _HEADER and self._listening:
            kind, length = frames.parse_header(self._in[:_HEADER])
            end = _HEADER + length
            if self._filled < end:
                return
            self._stop_frame_timer()
            try:
                with view[_HEADER:end] as body:
                    self._take(kind, body)
            finally:
                self._drop(view, end)

    def _drop(self, view: memoryview, end: int) -> None:
        """Forget the first `end` bytes that were read: move up what follows, wipe the rest."""
        rest = self._filled - end
        view[:rest] = view[end : self._filled]
        view[rest : self._filled] = bytes(end)
        self._filled = rest

    def _take(self, kind: int, body: memoryview) -> None:
        if self._state is _State.FRESH:
            operation = BY_NUMBER.get(kind)
            if operation is not None:
                self._begin(operation, body)
                return
            if kind == Kind.ANSWER:
                self._answer_elsewhere(body)
                return
        elif self._session is not None:
            if kind == Kind.ANSWER:
                self._answer(self._session, body)
                return
            if kind == Kind.CANCEL:
                self._cancel(self._session, body)
                return
        raise FrameError(f"a frame of kind 0x{kind:02x} makes no sense here")

    def _begin(self, operation: Operation, body: memoryview) -> None:
        request = request_of(operation, parse_begin(operation, body))
        self._session = self._sessions.begin(self.owner, self._identify(), request)
        self._state = _State.SESSION
        self._steps = self._loop.create_task(self._tell(self._session))

    def _answer(self, session: Session, body: memoryview) -> None:
        number, answer = frames.parse_answer(body)
        with answer:
            if number != session.id:
                raise FrameError("an answer for another session than the connection's")
            _give(session, answer)

    def _answer_elsewhere(self, body: memoryview) -> None:
        """Take an answer to a session of the bus, which carries no answers itself."""
        session, answer = frames.parse_answer(body)
        with answer:
            _give(self._sessions.find(session, self._identify()), answer)
        self._send(frames.build(Kind.ACCEPTED, {frames.Tag.SESSION: session}))
        self._end()

    def _cancel(self, session: Session, body: memoryview) -> None:
        if frames.session_of(frames.parse_fields(body)) != session.id:
            raise FrameError("another session than the connection's cannot be cancelled")
        session.cancel()

    # -- out

    async def _tell(self, session: Session) -> None:
        """Send the session's steps as they come, each when the one before has been taken."""
        try:
            while True:
                await self._read.wait()
                step = await session.next_step()
                self._send(frames.build_step(session.id, step))
                if isinstance(step, Verdict):
                    break
        except Exception as error:
            self._refuse(error)
        else:
            self._end()

    def _refuse(self, error: Exception) -> None:
        """Say why, and end. A session that runs ends too."""
        if not self._listening:
            return
        self._send(frames.build_refused(*errors.told(error)))
        self._end()

    def _send(self, frame: bytearray) -> None:
        sent = 0
        if not self._out:
            try:
                sent = self._socket.send(frame)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.close()
                return
        if sent < len(frame):
            self._out += frame[sent:]
            self._read.clear()
            if self._unread_timer is None:
                self._loop.add_writer(self._fd, self._writable)
                self._unread_timer = self._loop.call_later(
                    self._patience.unread, self._late, "does not read"
                )

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if not self._out:
            self._loop.remove_writer(self._fd)
            if self._unread_timer is not None:
                self._unread_timer.cancel()
                self._unread_timer = None
            self._read.set()
            if self._state is _State.ENDING:
                self.close()

    # -- the end

    def _end(self) -> None:
        """Close as soon as all is written."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.ENDING
        self._forget_session()
        if not self._out:
            self.close()

    def _late(self, what: str) -> None:
        _LOG.debug("a connection of uid %d %s: closed", self.owner.uid, what)
        self.close()

    def _stop_frame_timer(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None

    def _forget_session(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None and steps is not asyncio.current_task():
            steps.cancel()
        if self._session is not None:
            self._session = None
            self._sessions.drop(self.owner)

    def close(self) -> None:
        """Close at once; the session, if one runs, ends as cancelled. May be called again."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        self._stop_frame_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._forget_session()
        with suppress(OSError):
            self._socket.close()
        self._in[:] = bytes(len(self._in))
        self._closed(self)


def _give(session: Session, answer: memoryview) -> None:
    """Hand `answer` to `session`, which wipes it; wiped here when it is not taken."""
    secret = Secret(answer)
    try:
        session.answer(secret)
    except BaseException:
        secret.wipe()
        raise
