# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What counts in memory and is written on the side: no disk keeps anybody waiting for long."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access import saving
from keyservice.access.admissions import Admissions
from keyservice.access.conversation import Caller
from keyservice.access.saving import Saving
from keyservice.access.settings import Rules
from keyservice.access.throttle import Throttle
from keyservice.core import threads
from keyservice.core.errors import StoreFailed, UkeyError
from keyservice.core.processes import stat_of
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.store.admissions import FILE, AdmissionsFile
from keyservice.store.files import PrivateDirectory
from keyservice.store.throttle import PinName, ThrottleFile

from .rig import BOOT, login

SECONDS = 10.0
PIN = PinName("SN1", "ukey")


class Disk:
    """Writes numbers; it hangs until it is released."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.begun, self.written = list[int](), list[int]()
        self.release, self.entered = threading.Event(), threading.Semaphore(0)
        self.state, self.told = 0, list[UkeyError]()
        if not hangs:
            self.release.set()
        self.saving = Saving(self._write, lambda: self.state, self.told.append)

    def _write(self, number: int) -> None:
        self.begun.append(number)
        self.entered.release()
        assert self.release.wait(SECONDS)
        self.written.append(number)

    async def save(self, number: int, seconds: float = SECONDS) -> None:
        self.state = number
        await self.saving.save(seconds)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(saving, "WRITE_SECONDS", 0.05)
    made = Disk(hangs=True)
    yield made
    made.release.set()


def test_what_is_written_is_on_the_disk_before_anybody_goes_on() -> None:
    disk = Disk()

    async def main() -> None:
        for number in range(5):
            await disk.save(number)
            assert disk.written[-1] == number
        await asyncio.gather(*(disk.save(number) for number in range(10, 20)))
        assert disk.written[-1] == 19
        assert len(disk.written) < 10  # many at once are few writes
        assert disk.told == []

    asyncio.run(main())


def test_a_disk_that_hangs_is_waited_for_once_and_then_gets_what_is_newest(disk: Disk) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await disk.save(1)
        assert [str(error) for error in disk.told] == [
            "A look-up on this host did not come back before the deadline"
        ]
        begun = loop.time()
        for number in range(2, 200):
            await disk.save(number)
        assert loop.time() - begun < 0.05 * 10  # nobody waits for it any more
        assert disk.begun == [1]
        assert len(disk.told) == 1
        assert await threads.call(Budget(0, SECONDS), int, "7") == 7
        disk.release.set()
        assert await asyncio.to_thread(disk.entered.acquire, timeout=SECONDS)
        assert await asyncio.to_thread(disk.entered.acquire, timeout=SECONDS)
        await disk.save(200)
        assert disk.written == [1, 199, 200]

    asyncio.run(main())


def test_a_session_waits_no_longer_than_it_has(disk: Disk) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await disk.save(1, seconds=0.0)
        await disk.save(2, seconds=-3.0)
        assert loop.time() == pytest.approx(begun, abs=0.04)
        assert disk.told == []
        disk.release.set()
        assert await asyncio.to_thread(disk.entered.acquire, timeout=SECONDS)
        await disk.save(3)
        assert (disk.written[0], disk.written[-1]) == (1, 3)  # it is written all the same

    asyncio.run(main())


# -- who keeps something so


def folder_in(tmp_path: Path) -> PrivateDirectory:
    folder = PrivateDirectory(tmp_path / "state")
    folder.prepare()
    return folder


def from_afar() -> Caller:
    """A program of root's that lets somebody in: this process."""
    started = stat_of(os.getpid()).started
    return Caller(0, os.getpid(), 0, None, None, "root.sock", started=started)


def test_a_folder_that_cannot_be_trusted_keeps_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_in(tmp_path)
    admissions = Admissions(AdmissionsFile(folder, BOOT))
    throttle = Throttle(ThrottleFile(folder), Rules(), boot=BOOT)
    folder.path.chmod(0o755)

    async def main() -> None:
        request = login(service="sshd", rhost="192.0.2.1")
        await admissions.add(from_afar(), request, Person("alice", 1000), serial="SN1")
        await throttle.count(PIN, 8)
        await throttle.failed(PIN)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "su and sudo in this session work until the service ends" in caplog.text
    assert throttle.counts("SN1")
    assert not (folder.path / FILE).exists()


def test_logins_from_afar_leave_one_thread_behind_on_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "WRITE_SECONDS", 0.01)
    folder, release, begun = folder_in(tmp_path), threading.Event(), list[object]()
    file = AdmissionsFile(folder, BOOT)

    def hang(what: object) -> None:
        begun.append(what)
        release.wait(SECONDS)

    monkeypatch.setattr(file, "save", hang)
    admissions = Admissions(file)

    async def main() -> None:
        request = login(service="sshd", rhost="192.0.2.1")
        for uid in range(2 * threads.LIMIT):
            await admissions.add(from_afar(), request, Person("alice", uid), serial="SN1")
        assert len(begun) == 1
        assert await threads.call(Budget(0, SECONDS), int, "7") == 7
        release.set()

    asyncio.run(main())


def test_a_wrong_pin_is_not_lost_between_its_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk hangs before it is among the wrong ones: it stays among those on their way."""
    monkeypatch.setattr(saving, "WRITE_SECONDS", 0.01)
    folder, release = folder_in(tmp_path), threading.Event()
    file = ThrottleFile(folder)
    throttle = Throttle(file, Rules(), boot=BOOT)

    def hang(*what: object) -> None:
        release.wait(SECONDS)
        raise StoreFailed("Cannot write a record")

    async def main() -> None:
        await throttle.count(PIN, 8)
        monkeypatch.setattr(file, "save", hang)
        await throttle.failed(PIN)

    asyncio.run(main())
    assert Throttle(ThrottleFile(folder), Rules(), boot=BOOT).counts("SN1")
    release.set()
