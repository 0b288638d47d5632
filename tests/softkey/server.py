# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The control socket's other end: lines of JSON from tests and from the command line."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .control import LINE_MAXIMUM, short_path
from .loop import IN, Loop

#: `do` of a request → its answer; None when the answer comes later, by :meth:`Server.release`
Handle = Callable[[dict[str, Any]], dict[str, Any] | None]


class Server:
    """Listens at `path`, mode 0600."""

    def __init__(self, loop: Loop, path: Path, handle: Handle) -> None:
        self._loop = loop
        self._path = path
        self._handle = handle
        self._clients: dict[socket.socket, bytes] = {}
        self._waiting: list[socket.socket] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            with short_path(path) as address:
                self._listener.bind(address)
        finally:
            os.umask(before)
        self._listener.listen(8)
        loop.watch(self._listener.fileno(), IN, self._accept)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        for client in list(self._clients):
            self._drop(client)
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def release(self) -> None:
        """Answer all clients that wait."""
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            self._answer(client, {})

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        self._clients[client] = b""
        self._loop.watch(client.fileno(), IN, lambda: self._readable(client))

    def _readable(self, client: socket.socket) -> None:
        try:
            chunk = client.recv(LINE_MAXIMUM)
        except OSError:
            chunk = b""
        line = self._clients[client] = self._clients[client] + chunk
        if not chunk or len(line) > LINE_MAXIMUM:
            self._drop(client)
        elif line.endswith(b"\n"):
            self._clients[client] = b""
            self._request(client, line)

    def _request(self, client: socket.socket, line: bytes) -> None:
        try:
            request = json.loads(line)
            answer = self._handle(request)
        except (ValueError, TypeError, LookupError) as error:
            answer = {"error": str(error)}
        if answer is None:
            self._waiting.append(client)
        else:
            self._answer(client, answer)

    def _answer(self, client: socket.socket, answer: dict[str, Any]) -> None:
        # The list of APDUs may be longer than the socket's buffer: wait, for a moment, for the
        # reader at the other end.
        client.settimeout(1.0)
        try:
            client.sendall(json.dumps(answer).encode() + b"\n")
            client.setblocking(False)
        except OSError:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        if client in self._waiting:
            self._waiting.remove(client)
        del self._clients[client]
        self._loop.unwatch(client.fileno())
        client.close()
