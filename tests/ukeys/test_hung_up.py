# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A caller hangs up while a worker is silent: the worker keeps its deadline."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from keyservice.core.errors import ReaderAbsent, UkeyMute
from keyservice.ukeys import child
from keyservice.ukeys.base import PinState
from keyservice.ukeys.operations import PIN_STATE
from keyservice.ukeys.pcsc.source import Pcsc
from keyservice.ukeys.wire import build_request
from keyservice.ukeys.workerqueue import WorkerQueue
from tests.support import CHECKOUT

#: Seconds: a deadline, a time that suffices for all, and the time between two looks.
LIMIT, PATIENCE, MOMENT = 1.0, 20.0, 0.01
TOLD = PinState(10, 9, default=False)

#: A worker that was taken over, or hangs. The first says nothing for ever.
_SILENT_ONCE = """
import os, socket, sys, time
sys.path.insert(0, {checkout!r})
from keyservice.ukeys import base, operations, wire
channel = socket.socket(fileno=int(sys.argv[3]))
channel.recv(8192)
try:
    os.close(os.open({mark!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    channel.send(wire.build_done(operations.PIN_STATE, base.PinState(10, 9, False), None))
time.sleep(300)
"""


@pytest.mark.parametrize(
    ("operation", "caller"), [(LIMIT, PATIENCE), (PATIENCE, LIMIT)], ids=["operation", "caller"]
)
def test_whoever_hangs_up_leaves_no_silent_worker_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: float, caller: float
) -> None:
    """Its deadline is the operation's or the caller's, whichever comes first."""
    mark = tmp_path / "asked"
    program = _SILENT_ONCE.format(checkout=str(CHECKOUT), mark=str(mark))
    monkeypatch.setattr(child, "_PROGRAM", (sys.executable, "-I", "-B", "-c", program))

    async def scene() -> None:
        source = Pcsc(time.monotonic)
        queue = WorkerQueue("Reader 00 00", source.open, operation, time.monotonic)

        def ask() -> asyncio.Future[PinState]:
            limit = time.monotonic() + caller
            return queue.submit(
                build_request(PIN_STATE), limit, lambda answer: answer.take(PIN_STATE)
            )

        async with asyncio.timeout(PATIENCE):
            while not mark.exists():  # as long as workers start more slowly than the limit is
                asked = ask()
                while not (mark.exists() or asked.done()):
                    await asyncio.sleep(MOMENT)
            assert not asked.done()
            asked.cancel()
            told = None
            while told is None:
                with suppress(UkeyMute):
                    told = await ask()
        assert told == TOLD
        await queue.close(ReaderAbsent())

    asyncio.run(scene())
