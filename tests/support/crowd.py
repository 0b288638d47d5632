# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Many people at once: conversations with libpam, each in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from .process import END, HostError
from .stacks import CHILD, Answered, make_task

_MESSAGE_MAX = 65536


class Crowd:
    """Each person starts when told to; nobody waits for the others. ``Host.crowd`` makes it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(CHILD), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._waiting: dict[int, Future[Answered]] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="crowd", daemon=True)
        self._thread.start()

    def begin(
        self,
        service: str,
        user: str,
        answers: Sequence[str | None],
        *,
        pace: Sequence[float] = (),
        uid: int = 0,
        wait: bool = False,
        **more: Any,
    ) -> Future[Answered]:
        """Have somebody log in, from now on. May be called from any thread.

        `pace`: monotonic times before which the answers are not given. `uid`: whose process it
        is. `wait`: serve the delay that pam_fail_delay asks for, which blurs what the stack took.
        `more`: as for ``stacks.Pam.converse``.
        """
        task = make_task(service, user, answers, **more)
        done: Future[Answered] = Future()
        with self._lock:
            self._number += 1
            task |= {"number": self._number, "pace": list(pace), "uid": uid, "wait": wait}
            self._waiting[self._number] = done
            self._socket.send(json.dumps(task).encode())
        return done

    def _read(self) -> None:
        while message := self._socket.recv(_MESSAGE_MAX):
            result = json.loads(message)
            done = self._waiting.pop(result["number"])
            if "error" in result:
                done.set_exception(HostError(f"libpam's process: {result['error']}"))
            else:
                done.set_result(Answered.of(result))

    def close(self) -> None:
        """Conversations that still run may end by themselves."""
        self._socket.shutdown(socket.SHUT_WR)
        self._process.wait(END)
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(END)
        self._socket.close()
