# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A double of the processes that the service starts: each runs as a thread of the test.

``keyservice.ukeys.child`` is real; it uses this module to start a process, wait for it and kill it.
A thread of a test cannot give up what a separate process gives up (``confine``):
tests/ukeys/test_confine.py and test_taken_over_worker.py test that on real processes.
"""

from __future__ import annotations

import io
import itertools
import os
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from keyservice.transport import pcsc, readers
from keyservice.ukeys import child, worker
from keyservice.ukeys.pcsc import watcher

from .pcscd import Killed, Pcscd, Process

#: Seconds that a killed thread may take to notice, on a machine that others use too.
_END = 10.0


class Running:
    """What ``subprocess.Popen`` returns."""

    def __init__(self, pcscd: Pcscd, pid: int, part: str, arguments: Sequence[str]) -> None:
        parent, descriptor, *more = arguments
        assert int(parent) == os.getpid()
        self.pid, self.part, self.arguments = pid, part, tuple(map(os.fsdecode, more))
        self.returncode: int | None = None
        #: its output there; a thread of a test writes nothing
        self.stderr = io.FileIO(os.devnull)
        #: readable when it has ended, as a pidfd is; its opener closes it
        self.ended = os.eventfd(0, os.EFD_CLOEXEC)
        self._pcscd, self._process = pcscd, Process()
        self._channel = socket.socket(fileno=os.dup(int(descriptor)))
        run = {"worker": self._work, "watcher": self._watch}[part]
        self.thread = threading.Thread(target=self._run, args=(run,), name=part, daemon=True)
        self.thread.start()

    def send_signal(self, number: int) -> None:
        assert number == signal.SIGKILL
        self._pcscd.kill(self._process)

    def wait(self) -> int:
        self.thread.join(_END)
        assert self.returncode is not None, "it should have ended"
        return self.returncode

    def _run(self, run: Callable[[], int]) -> None:
        status = 1
        with self._channel, self._pcscd.process(self._process):
            try:
                status = run()
            except Killed:
                status = -signal.SIGKILL
            except BaseException:  # it ends a process, and the parent must see that
                traceback.print_exc()
        self._pcscd.kill(self._process)  # it lets go of all that it held
        self.returncode = status
        os.eventfd_write(self.ended, 1)

    # as the two ``main`` do it, except giving up rights

    def _work(self) -> int:
        (reader,) = self.arguments
        return worker.work(self._channel, reader, pcsc.Context(), _give_up_nothing)

    def _watch(self) -> int:
        return watcher.work(self._channel, pcsc.Context(), _give_up_nothing)


def _give_up_nothing() -> None:
    pass


class Processes:
    """``subprocess`` and ``os`` for ``keyservice.ukeys.child``."""

    DEVNULL, PIPE = subprocess.DEVNULL, subprocess.PIPE

    def __init__(self, pcscd: Pcscd) -> None:
        self._pcscd = pcscd
        # no process has such a number
        self._pids = itertools.count(1 << 24)
        self.running: dict[int, Running] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def Popen(self, command: Sequence[str], **options: Any) -> Running:
        program = len(child._PROGRAM)
        assert tuple(command[:program]) == child._PROGRAM
        part, *arguments = command[program:]
        assert options["env"] == {}
        assert options["pass_fds"] == (int(arguments[1]),)
        made = Running(self._pcscd, next(self._pids), part, arguments)
        self.running[made.pid] = made
        return made

    def pidfd_open(self, pid: int) -> int:
        return self.running[pid].ended

    def of(self, part: str, *arguments: str) -> list[Running]:
        """The processes of that kind that have not ended."""
        return [
            each
            for each in self.running.values()
            if each.part == part and each.arguments == arguments and each.returncode is None
        ]

    def end(self) -> None:
        """Wait for all to end."""
        for running in self.running.values():
            running.thread.join(_END)
        left = [each.part for each in self.running.values() if each.returncode is None]
        assert not left, f"left running: {left}"


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[tuple[Pcscd, Processes]]:
    """pcscd with these readers, and processes, in the place of the real ones; all end with it."""
    pcscd = Pcscd(*names)
    processes = Processes(pcscd)
    for module in (pcsc, readers):
        monkeypatch.setattr(module, "scard", pcscd)
    monkeypatch.setattr(child, "subprocess", processes)
    monkeypatch.setattr(child, "os", processes)
    yield pcscd, processes
    processes.end()
