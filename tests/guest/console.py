# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The guest's serial console, and a person at it."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from pathlib import Path

import pexpect
from pexpect.socket_pexpect import SocketSpawn

#: An emulated processor on a busy machine: what takes a second may take many.
PATIENCE = 300

GETTY = r"guest login: $"
SHELL = r"(?:^|\n)\S*\[?(\w+)@guest[^\n]*[$#] $"
PASSWORD = r"Password: $"
PIN = r"PIN[^\n]*: ?$"
_DENIED = "Login incorrect"


class Console:
    def __init__(self, address: Path) -> None:
        deadline = time.monotonic() + 10
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(address))
                break
            except OSError:
                self._socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self._line = SocketSpawn(self._socket, timeout=PATIENCE)

    def expect(self, *patterns: str, seconds: float = PATIENCE) -> int:
        """Which of the patterns came first; what came before it is :attr:`before`.

        Raises :class:`AssertionError` with what is on the screen instead.
        """
        try:
            found: int = self._line.expect(
                [pattern.encode() for pattern in patterns], timeout=seconds
            )
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            screen = self._line.before or b""
            raise AssertionError(
                f"not {' nor '.join(patterns)} within {seconds} s: "
                f"{screen[-2000:].decode(errors='replace')}"
            ) from error
        return found

    @property
    def text(self) -> str:
        """From the pattern before the last one up to the end of the last."""
        raw = (self._line.before or b"") + (self._line.after or b"")
        return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", raw.decode(errors="replace"))

    def type(self, text: str) -> None:
        self._line.send(text.encode() + b"\r")

    def interrupt_until(self, pattern: str) -> None:
        """^C until `pattern` comes: sudo loses a signal between its prompt and its read."""
        for _ in range(10):
            self._line.send(b"\x03")
            with contextlib.suppress(AssertionError):
                self.expect(pattern, seconds=PATIENCE / 10)
                return
        self.expect(pattern)

    def begin(self, name: str, *, pin: bool = True) -> None:
        """From getty's prompt on, up to the PIN's, or with the last answer given."""
        self.type(name)
        self.expect(PASSWORD)
        self.type(f"{name}-password")
        if pin:
            assert self.expect(PIN, _DENIED) == 0, self.text

    def shell_came(self) -> bool:
        """How it ended; if not with a shell, it is asked for a name again."""
        if self.expect(SHELL, _DENIED) == 0:
            return True
        self.expect(GETTY)
        return False

    def login(self, name: str, pin: str | None) -> bool:
        """Try to log in; whether the shell came. `pin`: None where none is asked for."""
        self.begin(name, pin=pin is not None)
        if pin is not None:
            self.type(pin)
        return self.shell_came()

    def run(self, command: str) -> str:
        """What a command prints, typed at the shell."""
        self.type(command)
        self.expect(SHELL)
        return self.text.partition("\n")[2].rpartition("\n")[0].replace("\r", "")

    def logout(self) -> None:
        self.type("exit")
        self.expect(GETTY)

    def close(self) -> None:
        self._socket.close()
