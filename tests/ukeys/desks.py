# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The readers for the ukeys of a test: readers of this process, or those of the real pcscd."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from keyservice.transport.pcsc import Card
from tests.inprocess.pcscd import Pcscd, Process
from tests.inprocess.processes import Processes
from tests.inprocess.ukeys import SoftkeyHere
from tests.support import CHECKOUT
from tests.support.ukeys import Softkey
from tests.ukeys.real import PIN, children, worker_of

ADMIN_PIN = b"80352917"
READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")


class Desk(Protocol):
    """Readers, ukeys, and other programs that use them. All end with the test."""

    def softkey(self, slot: int = 0, *, serial: str = "SN1", **make: Any) -> Softkey:
        """A ukey that is in its reader. `make`: as for ``softkey.state.new``, and its PINs."""
        ...

    def stranger(self, reader: str) -> AbstractAsyncContextManager[None]:
        """A process that holds a transaction on the reader, and is killed in it."""
        ...

    def kill_worker(self, reader: str) -> None: ...

    def workers(self) -> int:
        """How many there are."""
        ...


class _Desk:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Softkey] = []

    def _make(self, path: Path, slot: int, **make: Any) -> Softkey:
        raise NotImplementedError

    def softkey(self, slot: int = 0, *, serial: str = "SN1", **make: Any) -> Softkey:
        path = self._folder / f"{len(self._made)}.ukey"
        make = {"pin": PIN, "admin_pin": ADMIN_PIN, "inserted": True, "serial": serial, **make}
        made = self._make(path, slot, **make)
        self._made.append(made)
        made.control.wait_inserted()
        return made

    def clear(self) -> None:
        while self._made:
            self._made.pop().close()


class DeskHere(_Desk):
    """In this process."""

    def __init__(self, folder: Path, pcscd: Pcscd, processes: Processes) -> None:
        super().__init__(folder)
        self.pcscd, self.processes = pcscd, processes

    def _make(self, path: Path, slot: int, **make: Any) -> Softkey:
        return SoftkeyHere(self.pcscd, path, slot, **make)

    @asynccontextmanager
    async def stranger(self, reader: str) -> AsyncIterator[None]:
        somebody = Process()
        with self.pcscd.process(somebody):
            holding = Card(reader).transaction()
            holding.__enter__()
        try:
            yield
        finally:
            self.pcscd.kill(somebody)

    def kill_worker(self, reader: str) -> None:
        [worker] = self.processes.of("worker", reader)
        worker.send_signal(signal.SIGKILL)

    def workers(self) -> int:
        return sum(len(self.processes.of("worker", reader)) for reader in READERS)


class RealDesk(_Desk):
    """In readers of a pcscd that runs."""

    def _make(self, path: Path, slot: int, **make: Any) -> Softkey:
        made = Softkey(path, slot, **make)
        if make["inserted"]:
            made.wait_seen()
        return made

    @asynccontextmanager
    async def stranger(self, reader: str) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _STRANGER, os.fspath(CHECKOUT), reader),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()
            await process.wait()

    def kill_worker(self, reader: str) -> None:
        os.kill(worker_of(reader), signal.SIGKILL)

    def workers(self) -> int:
        return len(children()["worker"])


_STRANGER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from keyservice.transport.pcsc import Card
with Card(sys.argv[2]).transaction():
    print("held", flush=True)
    time.sleep(60)
"""
