# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice that plays a script, on the real socket paths: what modules are tested against."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from keyservice.contract import frames
from keyservice.contract.names import ROOT_SOCKET, USER_SOCKET, Operation
from keyservice.contract.requests import Value, parse_begin
from keyservice.contract.steps import Prompt, Step, Verdict

SESSION = bytes(range(16))


@dataclass(frozen=True)
class Raw:
    """Bytes that are sent as they are, whatever they mean."""

    content: bytes


@dataclass(frozen=True)
class Silence:
    """Nothing more is said; the line stays open until the client goes."""


@dataclass(frozen=True)
class HangUp:
    """The line is closed."""


Act = Step | Raw | Silence | HangUp


@dataclass
class Seen:
    """What clients said."""

    begun: list[tuple[Operation, dict[str, Value]]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    connections: int = 0


class SocketService:
    """Serves connections one after the other, each with the script from its start."""

    def __init__(self, script: Sequence[Act], *, uid: int = 0, session: bytes = SESSION) -> None:
        """`uid`: whom SO_PEERCRED shows to clients, the one who called listen()."""
        self.script, self.seen, self.session = tuple(script), Seen(), session
        self._sockets = [_listen(path, uid) for path in (ROOT_SOCKET, USER_SOCKET)]
        self._threads = [
            threading.Thread(target=self._serve, args=(listener,), daemon=True)
            for listener in self._sockets
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._sockets:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for listener in self._sockets:
            Path(listener.getsockname()).unlink(missing_ok=True)
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.seen.connections += 1
                with connection, contextlib.suppress(OSError, EOFError):
                    connection.settimeout(30)
                    self._play(connection)

    def _play(self, connection: socket.socket) -> None:
        kind, body = _receive(connection)
        operation = Operation(kind)
        self.seen.begun.append((operation, parse_begin(operation, body)))
        for act in self.script:
            match act:
                case Raw(content):
                    connection.sendall(content)
                case Silence():
                    connection.recv(1)
                case HangUp():
                    return
                case _:
                    connection.sendall(frames.build_step(self.session, act))
            if isinstance(act, Prompt):
                kind, body = _receive(connection)
                fields = frames.parse_fields(body)
                assert kind == frames.Kind.ANSWER
                assert frames.session_of(fields) == self.session
                self.seen.answers.append(bytes(fields[frames.Tag.ANSWER]))
            elif isinstance(act, Verdict):
                return


def _listen(path: str, uid: int) -> socket.socket:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o600 if path == ROOT_SOCKET else 0o666)
    with _euid(uid):
        listener.listen()
    return listener


@contextlib.contextmanager
def _euid(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def _receive(connection: socket.socket) -> tuple[int, bytearray]:
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
