# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How device workers and the watcher end, and what the service is told of it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from keyservice.core.errors import CryptoMissing, PcscdAbsent, ReaderAbsent, UkeyFailed
from keyservice.ukeys import child, operations, wire
from keyservice.ukeys.child import Child
from keyservice.ukeys.endings import Ending
from keyservice.ukeys.pcsc import reports
from keyservice.ukeys.pcsc.source import Pcsc
from keyservice.ukeys.workerqueue import WorkerQueue
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.ukeys.real import PATIENCE

READER = "Virtual PCD 00 00"


class Heard:
    """A child, what it has said since it was last asked, and its exit status."""

    def __init__(self, *arguments: str) -> None:
        self.messages: asyncio.Queue[bytearray] = asyncio.Queue()
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        part, *rest = arguments
        assert part in ("worker", "watcher")
        self.child = Child(
            "worker" if part == "worker" else "watcher",
            *rest,
            on_message=self.messages.put_nowait,
            on_end=self.status.set_result,
        )

    async def says(self) -> bytearray:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.status


def test_a_worker_ends_with_pcscd_once_it_has_said_so(
    own_softkey: Softkey, own_pcscd: Daemon
) -> None:
    async def scenario() -> None:
        heard = Heard("worker", READER)
        heard.child.send(wire.build_request(operations.PROBE))
        assert wire.parse_answer(await heard.says(), READER).error is None
        own_pcscd.kill()
        heard.child.send(wire.build_request(operations.PROBE))
        assert type(wire.parse_answer(await heard.says(), READER).error) is PcscdAbsent
        assert await heard.ends() == Ending.NO_PCSCD

    asyncio.run(scenario())


def test_a_watcher_ends_with_pcscd_once_it_has_said_so(
    own_softkey: Softkey, own_pcscd: Daemon
) -> None:
    async def scenario() -> None:
        heard = Heard("watcher")
        while not reports.parse_readers(await heard.says()):
            pass
        own_pcscd.kill()
        while reports.parse_readers(await heard.says()) is not None:
            pass
        assert await heard.ends() == Ending.NO_PCSCD

    asyncio.run(scenario())


def test_without_pcscd_a_worker_ends_and_a_watcher_waits(host: Host) -> None:
    async def scenario() -> None:
        assert await Heard("worker", READER).ends() == Ending.NO_PCSCD
        watcher = Heard("watcher")
        assert reports.parse_readers(await watcher.says()) is None
        await asyncio.to_thread(host.pcscd)
        assert reports.parse_readers(await watcher.says()) is not None
        assert not watcher.status.done()
        watcher.child.kill()
        await watcher.child.wait()
        assert not watcher.status.done()  # a wanted end is not reported

    asyncio.run(scenario())


def _queue() -> WorkerQueue:
    now = asyncio.get_running_loop().time
    return WorkerQueue(READER, Pcsc(now).open, 10, now)


def test_what_is_asked_of_a_worker_that_finds_no_pcscd_fails_as_that(host: Host) -> None:
    async def scenario() -> None:
        queue = _queue()
        for _ in range(3):
            message, limit = wire.build_request(operations.PROBE), queue._loop.time() + PATIENCE
            with pytest.raises(ReaderAbsent, match="pcscd"):
                await queue.submit(message, limit, lambda answer: answer)
        await queue.close(ReaderAbsent())

    asyncio.run(scenario())


def _saying(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(child, "_PROGRAM", (sys.executable, "-I", "-c", program))


def test_a_bug_is_told_in_the_service_s_log_in_lines_that_are_not_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    words = "x" * 500 + "\\n\\x1b[2Jlogged in\\n"
    _saying(monkeypatch, f"import sys; sys.stderr.write('{words}' * 15 + 'last'); sys.exit(7)")

    async def scenario() -> None:
        heard = Heard("worker", READER)
        assert await heard.ends() == 7

    asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 20
    assert all(line.startswith("device worker ") and len(line) < 240 for line in lines)
    assert lines[-1].endswith(": last")
    assert lines[-2].endswith(": ?[2Jlogged in")


@pytest.mark.parametrize(
    ("ending", "error", "told"),
    [
        (Ending.NO_PCSCD, PcscdAbsent, "lost pcscd"),
        (Ending.UNCONFINED, UkeyFailed, "cannot be confined"),
        (Ending.UNPREPARED, CryptoMissing, ": This host's OpenSSL does not offer"),
        (1, UkeyFailed, "ended"),
    ],
)
def test_the_service_tells_endings_apart(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: int,
    error: type[Exception],
    told: str,
) -> None:
    caplog.set_level("INFO")
    _saying(monkeypatch, f"import os, sys; os.read(int(sys.argv[3]), 1); os._exit({int(ending)})")

    async def scenario() -> None:
        queue = _queue()
        message, limit = wire.build_request(operations.PROBE), queue._loop.time() + PATIENCE
        with pytest.raises(error, match=r"pcscd|confined|offer|ended"):
            await queue.submit(message, limit, lambda answer: answer)
        await queue.close(ReaderAbsent())

    asyncio.run(scenario())
    joined = "" if told.startswith(":") else " "
    assert f"device worker of {READER}{joined}{told}" in caplog.text
