# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A process of the service's own that talks to pcscd, at the other end of a socket."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from keyservice.core import offspring
from keyservice.core.text import plain

from .fields import MESSAGE_MAX

log = logging.getLogger(__name__)

_ROOT = str(Path(__file__).resolve().parents[2])
#: An installed product has a launcher: SELinux decides by the file that a process was started from
#: what the process may do. A checkout uses the same Python. Either is isolated, so that neither
#: environment nor working directory decides what is imported.
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
#: How much is read of a child's words about a bug, which a device may have put into its mouth:
#: bytes, and the last lines of those.
_WORDS_MAX, _LINES_MAX = 8192, 20


def _environment() -> dict[str, str]:
    """Nothing but the configuration of OpenSSL that the service itself was given."""
    given = os.environ.get("OPENSSL_CONF")
    return {} if given is None else {"OPENSSL_CONF": given}


class Child:
    """Runs `part` of the device worker with the arguments parent's pid, socket and `arguments`."""

    def __init__(
        self,
        part: Literal["worker", "watcher"],
        *arguments: str,
        on_message: Callable[[bytearray], None],
        on_end: Callable[[int], None],
    ) -> None:
        """Start it. `on_end` is called with its exit status (:class:`~.endings.Ending`; negative: a
        signal's number) when it has ended by itself, not after :meth:`kill`.

        Raises :class:`OSError`.
        """
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_end = on_end
        self._buffer = bytearray(MESSAGE_MAX + 1)
        # a reader's name as pcscd has it; the child reads its arguments so, in no locale at all
        packed = (each.encode("utf-8", "surrogateescape") for each in arguments)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    (*_PROGRAM, part, str(os.getpid()), str(theirs.fileno()), *packed),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=_environment(),
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                )
            except OSError:
                ours.close()
                raise
        offspring.add(self._process.pid)
        self._part = part
        self._unwanted = False
        self._socket: socket.socket | None = ours
        self._loop.add_reader(ours, self._readable)
        self._gone = self._loop.create_future()
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: bytearray) -> None:
        """Send a message, which always fits: at most one is under way."""
        if self._socket is not None:
            try:
                self._socket.send(message)
            except OSError:
                self._hang_up()

    def kill(self) -> None:
        """End it now. Nothing is called back any more."""
        self._unwanted = True
        self._hang_up()

    async def wait(self) -> None:
        """Wait until it has ended and is reaped."""
        await self._gone

    def _readable(self) -> None:
        if not self._receive():
            self._hang_up()

    def _receive(self) -> bool:
        """Hand on a message, if there is one. False once the child's end is closed."""
        assert self._socket is not None
        try:
            length = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            length = 0
        if length:
            self._on_message(self._buffer[:length])
        return length > 0

    def _hang_up(self) -> None:
        """Stop listening to it, and kill it. A child that has closed its end is ending, or must.
        Its exit status is still its own then, since it closes nothing before that is settled."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        while self._socket is not None and self._receive():
            pass  # its last messages
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        offspring.discard(self._process.pid)
        status = self._process.wait()
        self._hang_up()
        self._log_last_words()
        self._gone.set_result(None)
        if not self._unwanted:
            self._on_end(status)

    def _log_last_words(self) -> None:
        """Log its standard error; nobody takes one of its lines for the service's own."""
        assert self._process.stderr is not None
        with self._process.stderr as pipe:
            os.set_blocking(pipe.fileno(), False)
            words = pipe.read(_WORDS_MAX) or b""
        for line in words.decode(errors="replace").splitlines()[-_LINES_MAX:]:
            log.error("device %s %d: %s", self._part, self._process.pid, plain(line)[:200])
