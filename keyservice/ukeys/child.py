# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A Python process of the service's own, at the other end of a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .fields import MESSAGE_MAX

#: Isolated, so that neither environment nor working directory says what is imported; no .pyc is
#: written. The package's folder is the one thing that it must be told.
_ARGUMENTS = ("-I", "-B", "-c")
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; main()"
_ROOT = str(Path(__file__).resolve().parents[2])


class Child:
    """Runs ``main()`` of `module` with the arguments parent's pid, socket and `arguments`."""

    def __init__(
        self,
        module: str,
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
                    (
                        *(sys.executable, *_ARGUMENTS, _START.format(module=module), _ROOT),
                        *(str(os.getpid()), str(theirs.fileno()), *arguments),
                    ),
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
