# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Pauses: how long, and that neither a restart, a reboot nor the wall clock shortens one."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from keyservice.access.settings import Rules
from keyservice.access.throttle import Throttle, boot_id, boottime
from keyservice.core.errors import Throttled
from keyservice.store.files import Folder
from keyservice.store.throttle import ThrottleFile

from .rig import Clock


@pytest.fixture
def file(tmp_path: Path) -> ThrottleFile:
    folder = Folder(tmp_path / "state")
    folder.prepare()
    return ThrottleFile(folder)


def throttle(file: ThrottleFile, clock: Clock, boot: str = "one") -> Throttle:
    return Throttle(file, Rules(throttle_longest=1000), boot=boot, now=clock)


def fail(made: Throttle, times: int, serial: str = "SN1") -> None:
    async def play() -> None:
        for _ in range(times):
            await made.failed(serial)

    asyncio.run(play())


def test_each_wrong_pin_doubles_the_pause_up_to_the_longest(file: ThrottleFile) -> None:
    made = throttle(file, Clock())
    pauses = []
    for _ in range(9):
        fail(made, 1)
        pauses.append(made.pause("SN1"))
    assert pauses == [0, 0, 60, 120, 240, 480, 960, 1000, 1000]
    fail(made, 100)
    assert made.pause("SN1") == 1000
    assert made.pause("SN2") == 0
    with pytest.raises(Throttled) as caught:
        made.check("SN1")
    assert caught.value.facts == {"serial": "SN1", "seconds": 1000}


def test_a_right_one_ends_it(file: ThrottleFile) -> None:
    made = throttle(file, Clock())
    fail(made, 4)
    asyncio.run(made.passed("SN1"))
    assert made.pause("SN1") == 0
    fail(made, 2)
    assert made.pause("SN1") == 0


def test_a_restart_goes_on_counting(file: ThrottleFile) -> None:
    clock = Clock()
    fail(throttle(file, clock), 3)
    clock.seconds += 20
    made = throttle(file, clock)
    assert made.pause("SN1") == 40
    clock.seconds += 40
    assert made.pause("SN1") == 0
    fail(made, 1)
    assert made.pause("SN1") == 120


def test_after_a_reboot_the_pause_is_served_anew(file: ThrottleFile) -> None:
    clock = Clock(50000.0)
    fail(throttle(file, clock), 4)
    fail(throttle(file, clock), 1, "SN2")
    after = Clock(3.0)
    made = throttle(file, after, "two")
    assert made.pause("SN1") == 120
    assert made.pause("SN2") == 0
    assert throttle(file, after, "two").pause("SN1") == 120
    fail(made, 2, "SN2")
    assert made.pause("SN2") == 60


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"version": 2, "boot": "one", "ukeys": {}}',
        '{"version": 1, "boot": "one", "ukeys": {"SN1": {"count": 0, "until": 0}}}',
        '{"version": 1, "boot": "one", "ukeys": {"SN1": {"count": 3, "until": NaN}}}',
        '{"version": 1, "boot": "one", "ukeys": {"SN1": {"count": 3, "until": "1"}}}',
        '{"version": 1, "boot": 1, "ukeys": {}}',
        '{"version": 1, "boot": "one", "ukeys": []}',
    ],
)
def test_a_damaged_file_pauses_every_ukey_once(
    file: ThrottleFile, tmp_path: Path, content: str
) -> None:
    (tmp_path / "state/throttle").write_text(content)
    (tmp_path / "state/throttle").chmod(0o600)
    clock = Clock()
    made = throttle(file, clock)
    assert (made.pause("SN1"), made.pause("SN2")) == (60, 60)
    clock.seconds += 60
    assert made.pause("SN1") == 0
    fail(made, 1)
    assert throttle(file, clock).pause("SN1") == 0  # it is whole again


def test_what_cannot_be_written_still_counts(file: ThrottleFile, tmp_path: Path) -> None:
    made = throttle(file, Clock())
    shutil.rmtree(tmp_path / "state")
    fail(made, 3)
    assert made.pause("SN1") == 60


def test_many_at_once_are_all_written(file: ThrottleFile) -> None:
    clock = Clock()
    made = throttle(file, clock)

    async def play() -> None:
        await asyncio.gather(*(made.failed(f"SN{number % 5}") for number in range(50)))

    asyncio.run(play())
    again = throttle(file, clock)
    assert [again.pause(f"SN{n}") for n in range(5)] == [1000] * 5


def test_the_clock_is_the_kernels() -> None:
    assert abs(boottime() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert len(boot_id()) == 36
