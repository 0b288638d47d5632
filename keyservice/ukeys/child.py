# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A process of the service's own that talks to pcscd, at the other end of a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from .fields import MESSAGE_MAX

_ROOT = str(Path(__file__).resolve().parents[2])
#: Where the product is installed, a launcher: SELinux tells what a process may do by the file it
#: was started from. In a checkout, the same Python. Either is isolated, so that neither environment
#: nor working directory says what is imported.
_PROGRAM = (
    ("/usr/libexec/ukey/device-worker",)
    if _ROOT == "/usr/lib/ukey"
    else (
        *(sys.executable, "-I", "-B", "-c"),
        "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        "from keyservice.ukeys.device import main; main()",
        _ROOT,
    )
)


class Child:
    """Runs `part` of the device worker with the arguments parent's pid, socket and `arguments`."""

    def __init__(
        self,
        part: Literal["worker", "watcher"],
        *arguments: str,
        on_message: Callable[[bytearray], None],
        on_end: Callable[[], None],
    ) -> None:
        """Start it. `on_end` is called when it ends by itself, not after :meth:`kill`.

        Raises :class:`OSError`.
        """
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_end = on_end
        self._buffer = bytearray(MESSAGE_MAX + 1)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    (*_PROGRAM, part, str(os.getpid()), str(theirs.fileno()), *arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                )
            except OSError:
                ours.close()
                raise
        self._socket: socket.socket | None = ours
        self._loop.add_reader(ours, self._readable)
        self._gone = self._loop.create_future()
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: bytearray) -> None:
        """Send a message, which fits: there is one under way at most."""
        if self._socket is not None:
            try:
                self._socket.send(message)
            except OSError:
                self._ended()

    def kill(self) -> None:
        """End it now. Nothing is called back any more."""
        self._close()
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> None:
        """Until it has ended and is reaped."""
        await self._gone

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            length = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            length = 0
        if length == 0:
            self._ended()
        else:
            self._on_message(self._buffer[:length])

    def _ended(self) -> None:
        if self._socket is not None:
            self.kill()
            self._on_end()

    def _close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        self._gone.set_result(None)
