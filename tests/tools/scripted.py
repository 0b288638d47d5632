# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice that does what a test's script says, on the real socket, in real frames.

It speaks the wire format from its own reading of ``docs/socket-protocol.md``, byte by byte, so
that a mistake in the shared codec does not hide itself.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BIND, UNBIND, CHANGE_PIN, UNBLOCK_PIN = 0x02, 0x03, 0x04, 0x05
ANSWER, CANCEL, STEP, REFUSED = 0x10, 0x11, 0x81, 0x82
SESSION = bytes(range(16))

USER, SERVICE, TTY, LANG, FLAGS, TIMEOUT = 0x01, 0x02, 0x03, 0x05, 0x06, 0x07
SERIAL, APPLICATION, CONTAINER = 0x08, 0x09, 0x0A


def field_(tag: int, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(value)) + value


def frame(kind: int, *fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack(">BBH", 1, kind, len(body)) + body


def _step(kind: int, text: str, *more: bytes) -> bytes:
    return frame(
        STEP, field_(0x10, SESSION), field_(0x20, bytes([kind])), field_(0x21, text.encode()), *more
    )


def info(text: str) -> bytes:
    return _step(1, text)


def error(text: str) -> bytes:
    return _step(2, text)


def prompt(text: str, *, echo: bool = False) -> bytes:
    return _step(3, text, field_(0x22, bytes([echo])))


def wait(text: str, what: str = "ukey") -> bytes:
    return _step(4, text, field_(0x23, what.encode()))


def verdict(code: str, text: str = "", name: str = "", **detail: object) -> bytes:
    more = [field_(0x24, code.encode())]
    if name:
        more.append(field_(0x25, name.encode()))
    if detail:
        more.append(field_(0x26, json.dumps(detail).encode()))
    return _step(5, text, *more)


def refused(name: str, text: str) -> bytes:
    return frame(REFUSED, field_(0x25, name.encode()), field_(0x21, text.encode()))


class Gate:
    """A place in a script where it stays until the test opens it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(20), "the test did not open the gate"


@dataclass(frozen=True)
class Unanswered:
    """A prompt that the script does not wait at."""

    frame: bytes


HANG_UP = object()  #: close the connection, as a service that dies does
AWAIT_CANCEL = object()  #: go on when the client asks to cancel
Script = Sequence[object]  #: frames to send, gates, HANG_UP, AWAIT_CANCEL


@dataclass
class Held:
    """The data that one connection brought."""

    kind: int = 0
    fields: dict[int, bytes] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    cancelled: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class Keyservice:
    """Serves one script per connection; what each brought is in :attr:`sessions`."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self.path.chmod(0o666 if path.endswith("user.sock") else 0o600)
        self._listener.listen()
        self._scripts: queue.Queue[Script] = queue.Queue()
        self.sessions: list[Held] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def script(self, *steps: object) -> None:
        self._scripts.put(steps)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def last(self) -> Held:
        """The latest session, once it is over."""
        held = self.sessions[-1]
        assert held.ended.wait(20)
        return held

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            held = Held()
            self.sessions.append(held)
            threading.Thread(target=self._hold, args=(peer, held), daemon=True).start()

    def _hold(self, peer: socket.socket, held: Held) -> None:
        peer.settimeout(20)
        with peer, suppress(EOFError, OSError):
            held.kind, held.fields = self._frame(peer)
            for step in self._scripts.get(timeout=20):
                if step is HANG_UP:
                    break
                if isinstance(step, Gate):
                    step.wait()
                    continue
                if step is AWAIT_CANCEL:
                    assert self._frame(peer)[0] == CANCEL
                    held.cancelled = True
                    continue
                if isinstance(step, Unanswered):
                    peer.sendall(step.frame)
                    continue
                assert isinstance(step, bytes)
                peer.sendall(step)
                if step[1] == STEP and step[4 + 3 + 16 + 3] == 3:
                    kind, fields = self._frame(peer)
                    if kind == CANCEL:
                        held.cancelled = True
                        peer.sendall(verdict("CONV_ERR", "", "Cancelled"))
                        break
                    held.answers.append(fields[0x11])
            else:
                # The client closes after a verdict; a cancel may come at any time.
                if self._frame(peer)[0] == CANCEL:
                    held.cancelled = True
                    peer.sendall(verdict("CONV_ERR", "", "Cancelled"))
        held.ended.set()

    @staticmethod
    def _frame(peer: socket.socket) -> tuple[int, dict[int, bytes]]:
        def read(count: int) -> bytes:
            out = b""
            while len(out) < count:
                more = peer.recv(count - len(out))
                if not more:
                    raise EOFError
                out += more
            return out

        _version, kind, length = struct.unpack(">BBH", read(4))
        body, fields = read(length), {}
        while body:
            tag, size = struct.unpack(">BH", body[:3])
            fields[tag] = body[3 : 3 + size]
            body = body[3 + size :]
        return kind, fields


def everything_of(pid: int) -> bytes:
    """The parts of a process that others may see: its command line and its environment."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
