# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Pauses: how long, and that neither a restart, a reboot nor the wall clock shortens one."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import saving
from keyservice.access.settings import Rules
from keyservice.access.throttle import Throttle, boot_id, boottime
from keyservice.core.errors import StoreFailed, Throttled
from keyservice.store.files import PrivateDirectory
from keyservice.store.throttle import PinName, ThrottleFile
from keyservice.ukeys.base import PinState

from .rig import Clock


@pytest.fixture
def file(tmp_path: Path) -> ThrottleFile:
    folder = PrivateDirectory(tmp_path / "state")
    folder.prepare()
    return ThrottleFile(folder)


def throttle(file: ThrottleFile, clock: Clock, boot: str = "one") -> Throttle:
    return Throttle(file, Rules(throttle_longest=1000), boot=boot, now=clock)


def user_pin(serial: str = "SN1") -> PinName:
    return PinName(serial, "ukey")


def left(number: int) -> PinState:
    return PinState(10, number, default=False)


async def sent(made: Throttle, known: int | None, pin: PinName = user_pin()) -> None:  # noqa: B008
    """A PIN of which nobody learns the outcome."""
    await made.count(pin, known)
    made.lost(pin)


async def settled(made: Throttle, state: PinState, pin: PinName = user_pin()) -> None:  # noqa: B008
    found = made.unknown(pin)
    assert found is not None
    await made.settle(pin, found, state)


def fail(made: Throttle, times: int, serial: str = "SN1") -> None:
    async def play() -> None:
        for _ in range(times):
            await made.failed(user_pin(serial))

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
        made.check(user_pin())
    assert caught.value.facts == {"serial": "SN1", "seconds": 1000}


def test_a_right_one_ends_it(file: ThrottleFile) -> None:
    made = throttle(file, Clock())
    fail(made, 4)
    asyncio.run(made.passed(user_pin()))
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


def test_after_a_reboot_the_pause_is_served_again(file: ThrottleFile) -> None:
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
        '{"version": 1, "boot": "one", "ukeys": {}, "pins": [1]}',
        '{"version": 1, "boot": "one", "pins": [{"serial": "SN1", "application": 1, "admin": true,'
        ' "count": 1, "until": 0}]}',
    ],
)
@pytest.mark.parametrize("name", ["throttle", "throttle-sent"])
def test_a_damaged_file_pauses_every_ukey_once(
    file: ThrottleFile, tmp_path: Path, name: str, content: str
) -> None:
    if name == "throttle-sent" and not content:
        return  # a power cut leaves it so
    (tmp_path / "state" / name).write_text(content)
    (tmp_path / "state" / name).chmod(0o600)
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
        await asyncio.gather(*(made.failed(user_pin(f"SN{number % 5}")) for number in range(50)))

    asyncio.run(play())
    again = throttle(file, clock)
    assert [again.pause(f"SN{n}") for n in range(5)] == [1000] * 5


# -- a PIN whose outcome is not known


@pytest.mark.parametrize(
    ("known", "now", "counted"),
    [(8, 8, 0), (8, 7, 1), (8, 10, 0), (8, 0, 1), (None, 10, 0), (None, 9, 1)],
)
def test_the_tries_show_afterwards_whether_it_counts(
    file: ThrottleFile, known: int | None, now: int, counted: int
) -> None:
    clock = Clock()

    async def play(made: Throttle) -> None:
        for _ in range(2):
            await made.failed(user_pin())
        await sent(made, known)
        assert made.pause("SN1") == 60  # until it is known

    async def after_a_restart(made: Throttle) -> None:
        clock.seconds += 20
        assert made.pause("SN1") == 40
        await settled(made, left(now))
        assert made.unknown(user_pin()) is None
        assert made.pause("SN1") == 40 * counted

    asyncio.run(play(throttle(file, clock)))
    asyncio.run(after_a_restart(throttle(file, clock)))
    again = throttle(file, clock)
    assert again.pause("SN1") == 40 * counted
    assert again.unknown(user_pin()) is None


def test_after_a_reboot_it_is_served_again_unless_no_try_was_spent(file: ThrottleFile) -> None:
    async def play(made: Throttle) -> None:
        await made.failed(user_pin())
        await made.failed(user_pin())
        await sent(made, 8)

    async def after_a_reboot(made: Throttle) -> None:
        assert made.pause("SN1") == 60
        await settled(made, left(8))
        assert made.pause("SN1") == 0

    asyncio.run(play(throttle(file, Clock(50000.0))))
    asyncio.run(after_a_reboot(throttle(file, Clock(3.0), "two")))


def test_tries_read_before_another_pin_say_nothing_of_that(file: ThrottleFile) -> None:
    async def play() -> None:
        made = throttle(file, Clock())
        await sent(made, 10)
        first = made.unknown(user_pin())
        assert first is not None
        await settled(made, left(9))
        await sent(made, 9)
        await made.settle(user_pin(), first, left(10))  # read by a session that was slow
        assert made.unknown(user_pin()) is not None
        await settled(made, left(8))
        await made.failed(user_pin())
        assert made.pause("SN1") == 60

    asyncio.run(play())


def test_one_on_its_way_makes_no_pause_for_those_who_wait(file: ThrottleFile) -> None:
    """It may be right; and a session that reads the tries now sees those before it."""

    async def play() -> None:
        made = throttle(file, Clock())
        await made.failed(user_pin())
        await made.failed(user_pin())
        await made.count(user_pin(), 8)
        made.check(user_pin())
        assert made.unknown(user_pin()) is None
        made.lost(user_pin())
        with pytest.raises(Throttled):
            made.check(user_pin())

    asyncio.run(play())


def test_what_a_power_cut_leaves_of_the_unsynced_file_is_none(
    file: ThrottleFile, tmp_path: Path
) -> None:
    for content in (b"", bytes(100)):
        (tmp_path / "state/throttle-sent").write_bytes(content)
        (tmp_path / "state/throttle-sent").chmod(0o600)
        assert throttle(file, Clock()).pause("SN1") == 0


# -- hosts that change their version

BY_SERIAL = '{"version": 1, "boot": "one", "ukeys": {"SN1": {"count": 3, "until": 1060.0}}}'


def test_a_count_by_serial_holds_for_each_application_until_its_own_pin_is_right(
    file: ThrottleFile, tmp_path: Path
) -> None:
    (tmp_path / "state/throttle").write_text(BY_SERIAL)
    (tmp_path / "state/throttle").chmod(0o600)
    clock, other = Clock(), PinName("SN1", "other")
    made = throttle(file, clock)
    for pin in (user_pin(), other):
        with pytest.raises(Throttled):
            made.check(pin)
    made.check(PinName("SN1", "ukey", admin=True))
    assert made.pause("SN1") == 60
    clock.seconds += 60
    asyncio.run(made.passed(other))
    made = throttle(file, clock)
    fail(made, 1)
    assert made.pause("SN1") == 120
    made.check(other)
    asyncio.run(made.reset("SN1"))
    assert (made.pause("SN1"), made.counts("SN1")) == (0, False)
    assert not throttle(file, clock).counts("SN1")


def test_the_version_before_finds_its_counts(file: ThrottleFile, tmp_path: Path) -> None:
    """It reads ``ukeys``, where every entry counts, and ignores keys that it does not know."""

    async def play(made: Throttle) -> None:
        for pin, times in ((user_pin(), 4), (PinName("SN1", "other"), 2), (user_pin("SN2"), 1)):
            for _ in range(times):
                await made.failed(pin)
        await made.failed(PinName("SN3", "ukey", admin=True))
        await made.passed(user_pin("SN2"))

    asyncio.run(play(throttle(file, Clock())))
    written = json.loads((tmp_path / "state/pauses/throttle").read_text("ascii"))
    assert (written["version"], written["boot"]) == (1, "one")
    assert written["ukeys"] == {"SN1": {"count": 4, "until": 1120.0}}


def test_what_an_older_version_left_or_wrote_since_is_taken_over(
    file: ThrottleFile, tmp_path: Path
) -> None:
    state, clock = tmp_path / "state", Clock()
    for until in (1060.0, 1090.0):  # the second one by a host that had gone back meanwhile
        (state / "throttle").write_text(BY_SERIAL.replace("1060.0", str(until)))
        (state / "throttle").chmod(0o600)
        assert throttle(file, clock).pause("SN1") == until - 1000
        assert [path.name for path in state.iterdir()] == ["pauses"]
    fail(throttle(file, clock), 1)
    assert throttle(file, clock).pause("SN1") == 120


def test_what_could_not_be_taken_over_is_read_and_then_replaced(
    file: ThrottleFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state/throttle").write_text(BY_SERIAL)
    (tmp_path / "state/throttle").chmod(0o600)

    def full(*_: object) -> None:
        raise StoreFailed("Cannot move a record")

    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(PrivateDirectory, "move", full)
        made = throttle(file, clock)
        assert made.pause("SN1") == 60
        fail(made, 1)
    assert throttle(file, clock).pause("SN1") == 120


def test_no_account_sees_by_the_folders_that_a_pin_was_sent(
    file: ThrottleFile, tmp_path: Path
) -> None:
    """Everybody can see when the state's own folder changed."""

    async def play(made: Throttle) -> None:
        await made.count(user_pin(), 8)
        await made.failed(user_pin())

    made = throttle(file, Clock())
    asyncio.run(play(made))  # which makes the inner folder
    before = (tmp_path / "state").stat()
    inner = (tmp_path / "state/pauses").stat()
    asyncio.run(play(made))
    after = (tmp_path / "state").stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    assert (tmp_path / "state/pauses").stat().st_mtime_ns != inner.st_mtime_ns
    assert inner.st_mode & 0o077 == 0


# -- a disk that hangs


def test_a_write_that_hangs_holds_up_one_session_and_no_more(
    file: ThrottleFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "WRITE_SECONDS", 0.05)
    go_on, came_back = threading.Event(), threading.Event()
    begun = []
    whole = file.save_sent

    def hang(*what: Any) -> None:
        begun.append(what)
        go_on.wait(30)
        whole(*what)
        came_back.set()

    clock = Clock()
    made = throttle(file, clock)
    monkeypatch.setattr(file, "save_sent", hang)

    async def play() -> None:
        async with asyncio.timeout(10):
            for _ in range(20):
                await made.count(user_pin(), None)
                await made.failed(user_pin())
        assert len(begun) == 1
        assert made.pause("SN1") == 1000  # in memory they count
        go_on.set()
        await asyncio.to_thread(came_back.wait, 10)
        while made._saving._shared.running() > 0:  # it writes what is newest by itself
            await asyncio.sleep(0.001)

    asyncio.run(play())
    assert throttle(file, clock).pause("SN1") == 1000


def test_the_clock_is_the_kernels() -> None:
    assert abs(boottime() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert len(boot_id()) == 36
