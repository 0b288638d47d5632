# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Programs of a test: run to their end, or kept as daemons until they are stopped by their pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Seconds that a daemon may take to be ready, and to end. Generous: machines are shared.
READY, END = 60.0, 30.0


class HostError(Exception):
    """The host is not as a test needs it. Says what failed, with the end of the log."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = READY) -> None:
    """Return once `condition` holds; :class:`HostError` naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HostError(f"after {seconds} s: not {what}")
        time.sleep(0.005)


def run(
    command: Sequence[str | os.PathLike[str]], *, seconds: float = 90, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run to the end, output captured as text. The caller judges its failure."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, **options
    )


def must(command: Sequence[str | os.PathLike[str]], **options: Any) -> str:
    """Run a command that has to succeed; returns its stdout."""
    done = run(command, **options)
    if done.returncode != 0:
        raise HostError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def wake_ups(pid: int) -> int:
    """How often a process's threads have gone to sleep so far: as often as they were woken."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches:")
    )


class Daemon:
    """A program in the foreground of its own session, its output in a log file."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.log = log
        self.name = Path(command[0]).name
        self._stopped = False
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                **options,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it is gone, although nobody stopped or killed it here."""
        return not self.running and not self._stopped

    def wait_ready(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()` holds; :class:`HostError` with the log if it ends or takes long."""
        try:
            wait_until(lambda: not self.running or ready(), f"{self.name} ready")
        except HostError as error:
            raise HostError(f"{error}\n{self.tail()}") from None
        if not self.running:
            raise HostError(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")

    def tail(self, size: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-size:]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, wait for the end (SIGKILL if need be); returns the exit status.

        Processes that the daemon started itself are in its process group, and are killed with it.
        """
        if self.running:
            self._stopped = True
            self.process.send_signal(number)
            try:
                self.process.wait(END)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait(END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return status

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Freeze it: it is there and does not answer, until :meth:`thaw`."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)
