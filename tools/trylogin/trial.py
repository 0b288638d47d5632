# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login under way in a process of its own: what it says, what it is answered, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keyservice.contract.pam import PamCode
from keyservice.core.closing import Closing
from tools.terminal import wipe

from . import child
from .child import ANSWER, ENDED, PACKET_MAX, SAID, Attempt


@dataclass(frozen=True)
class Said:
    """A message of a module's. `prompt`: it wants an answer, shown while it is typed if `echo`."""

    text: str
    prompt: bool
    echo: bool
    error: bool


@dataclass(frozen=True)
class Ended:
    """The code of each step, and the user whom the modules let in."""

    steps: tuple[tuple[str, int], ...]
    user: str

    @property
    def step(self) -> str:
        """The one that decided."""
        return self.steps[-1][0]

    @property
    def code(self) -> int:
        return self.steps[-1][1]

    @property
    def success(self) -> bool:
        return self.step == "setcred" and self.code == PamCode.SUCCESS


class Died(Exception):
    """The process ended without a verdict."""


class Trial(Closing):
    """The process of an attempt; leaving it kills what is left of it."""

    def __init__(self, attempt: Attempt) -> None:
        child.adopt_orphans()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # No thread runs yet, and nothing was typed.
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            child.main(attempt, theirs)
        theirs.close()
        with suppress(OSError):  # either side may be first
            os.setpgid(self.pid, self.pid)
        self._wire = ours

    def close(self) -> None:
        self._wire.close()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        _end(self.pid)
        # Modules' helpers may have left the group; they are children of ours then.
        while orphans := _children():
            for orphan in orphans:
                _end(orphan)

    def fileno(self) -> int:
        """Readable when it has something to say."""
        return self._wire.fileno()

    def next(self) -> Said | Ended:
        """What it says next. Raises :class:`Died`."""
        try:
            packet = self._wire.recv(PACKET_MAX)
        except OSError:
            packet = b""
        kind, body = packet[:1], packet[1:]
        if kind == SAID and body:
            prompt = body[0] in (1, 2)
            text = body[1:].decode("utf-8", "replace")
            return Said(text, prompt=prompt, echo=body[0] == 2, error=body[0] == 3)
        if kind == ENDED:
            result = json.loads(body)
            steps = tuple((str(step), int(code)) for step, code in result["steps"])
            return Ended(steps, str(result["user"]))
        raise Died

    def answer(self, text: bytearray) -> None:
        """Answer the prompt; wipes `text`."""
        packet = bytearray(ANSWER) + text
        try:
            with suppress(OSError):  # it is gone: the next question says so
                self._wire.send(packet)
        finally:
            wipe(packet)
            wipe(text)


def _end(pid: int) -> None:
    """Kill a child of this process, and wait for it."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _children() -> list[int]:
    """Those of this process; none where the kernel does not say."""
    with suppress(OSError):
        own = os.getpid()
        return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    return []
