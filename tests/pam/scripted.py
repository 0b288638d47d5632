# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice that plays a script, on the real socket paths: modules are tested against it.

Beside the steps themselves a script holds acts of misbehaviour. A script is played from its start
for each session.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from keyservice.access.operations import BY_NUMBER
from keyservice.contract import frames
from keyservice.contract.names import ROOT_SOCKET, USER_SOCKET, ErrorName, StepKind
from keyservice.contract.operations import Operation
from keyservice.contract.requests import Value, parse_begin
from keyservice.contract.steps import Prompt, Step, Verdict

SESSION = bytes(range(16))
WAIT_SECONDS = 30


@dataclass(frozen=True)
class Raw:
    """Bytes on the socket, or the body of a reply on the bus, whatever they mean."""

    content: bytes


@dataclass(frozen=True)
class Silence:
    """The service says nothing more; the connection stays open until the client goes."""


@dataclass(frozen=True)
class HangUp:
    """The service closes the connection."""


@dataclass(frozen=True)
class Refuse:
    """A refusal in place of a step."""

    name: ErrorName
    text: str = ""


@dataclass(frozen=True)
class NewVerdict:
    """A verdict of a version of the service that is not known yet."""

    code: str


Act = Step | Raw | Silence | HangUp | Refuse | NewVerdict


@dataclass
class Seen:
    """The clients' messages."""

    begun: list[tuple[Operation, dict[str, Value]]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def euid(uid: int) -> Iterator[None]:
    """Act as `uid`, for acts whose doer the kernel remembers."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


class SocketServer:
    """Listens where the keyservice does, and hands each connection to :meth:`serve`, in a thread
    of its own: clients do not wait for each other."""

    def __init__(self, uid: int) -> None:
        """`uid`: the caller of listen(), whom SO_PEERCRED shows to clients."""
        self.seen = Seen()
        self._sockets = [_listen(path, uid) for path in (ROOT_SOCKET, USER_SOCKET)]
        self._listening = [
            threading.Thread(target=self._accept, args=(listener,), daemon=True)
            for listener in self._sockets
        ]
        self._serving: set[threading.Thread] = set()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._serving.add(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            connection.settimeout(WAIT_SECONDS)
            self.serve(connection)
        self._serving.discard(threading.current_thread())

    def __enter__(self) -> Self:
        for thread in self._listening:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._sockets:
            path = listener.getsockname()
            listener.shutdown(socket.SHUT_RDWR)
            Path(path).unlink(missing_ok=True)
        for thread in (*self._listening, *self._serving):
            thread.join(5)
        for listener in self._sockets:
            listener.close()


class SocketService(SocketServer):
    """Plays the script over frames."""

    def __init__(self, script: Sequence[Act], *, uid: int = 0) -> None:
        super().__init__(uid)
        self._script = tuple(script)

    def script(self, begun: Mapping[str, Value]) -> Sequence[Act]:
        """The script for a session that began with these fields."""
        return self._script

    def serve(self, connection: socket.socket) -> None:
        kind, body = receive(connection)
        operation = BY_NUMBER[kind]
        begun = parse_begin(operation, body)
        self.seen.begun.append((operation, begun))
        for act in self.script(begun):
            match act:
                case Raw(content):
                    connection.sendall(content)
                case Silence():
                    connection.recv(1)
                    return
                case HangUp():
                    return
                case Refuse(name, text):
                    connection.sendall(frames.build_refused(name, text))
                case NewVerdict(code):
                    connection.sendall(new_verdict(code))
                case _:
                    connection.sendall(frames.build_step(SESSION, act))
            if isinstance(act, Prompt):
                kind, body = receive(connection)
                self.seen.answers.append(answer_of(kind, body))
            elif isinstance(act, Verdict):
                return


def new_verdict(code: str) -> bytearray:
    return frames.build(
        frames.Kind.STEP,
        {
            frames.Tag.SESSION: SESSION,
            frames.Tag.STEP: bytes([StepKind.VERDICT]),
            frames.Tag.CODE: code.encode(),
        },
    )


def answer_of(kind: int, body: bytearray) -> bytes:
    """The answer in an ANSWER frame, which must be for our session."""
    fields = frames.parse_fields(body)
    assert kind == frames.Kind.ANSWER
    assert frames.session_of(fields) == SESSION
    return bytes(fields[frames.Tag.ANSWER])


def receive(connection: socket.socket) -> tuple[int, bytearray]:
    """(kind, body) of one frame."""
    kind, length = frames.parse_header(_exactly(connection, frames.HEADER.size))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytearray:
    content = bytearray()
    while len(content) < length:
        part = connection.recv(length - len(content))
        if not part:
            raise EOFError
        content += part
    return content


def _listen(path: str, uid: int) -> socket.socket:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Path(path).chmod(0o600 if path == ROOT_SOCKET else 0o666)
    with euid(uid):
        listener.listen()
    return listener
