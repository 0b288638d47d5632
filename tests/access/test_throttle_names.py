# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey chooses how many applications it has, and their names: what that costs others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyservice.access.settings import Rules
from keyservice.access.throttle import NAMES, Throttle
from keyservice.core.errors import StoreFailed, Throttled
from keyservice.store.files import PrivateDirectory
from keyservice.store.throttle import FILE, FILE_MAX, FOLDER, Failures, PinName, ThrottleFile

from .rig import Clock

MANY = 60
HONEST = PinName("SN2", "ukey")


@pytest.fixture
def state(tmp_path: Path) -> PrivateDirectory:
    folder = PrivateDirectory(tmp_path / "state")
    folder.prepare()
    return folder


def throttle(state: PrivateDirectory) -> Throttle:
    return Throttle(ThrottleFile(state), Rules(), boot="one", now=Clock())


def name(number: int, *, admin: bool = False) -> PinName:
    return PinName("SN1", f"application {number}", admin)


async def wrong(made: Throttle, pin: PinName) -> None:
    await made.count(pin, 10)
    await made.failed(pin)


def size(state: PrivateDirectory) -> int:
    return sum(path.stat().st_size for path in (state.path / FOLDER).iterdir())


def test_however_many_names_a_ukey_has_its_counts_take_a_few_lines(state: PrivateDirectory) -> None:
    async def scene() -> None:
        made = throttle(state)
        for _ in range(3):
            await wrong(made, HONEST)
        before = size(state)
        for number in range(NAMES):
            await wrong(made, name(number))
        few = size(state)
        for number in range(MANY):
            await wrong(made, name(number))
            await made.count(name(MANY + number), None)
            made.lost(name(MANY + number))
        assert size(state) - before < 3 * (few - before)
        assert made.pause(HONEST.serial) == 60

    asyncio.run(scene())
    assert throttle(state).pause(HONEST.serial) == 60, "and others' outlive a restart"


def test_those_beyond_share_one_count_which_no_right_pin_of_one_ends(
    state: PrivateDirectory,
) -> None:
    async def scene() -> None:
        made = throttle(state)
        for number in range(NAMES):
            await wrong(made, name(number))
        for number in range(NAMES, NAMES + 3):
            made.check(name(number))
            await wrong(made, name(number))
        with pytest.raises(Throttled):
            made.check(name(MANY))
        await made.count(name(MANY), 10)
        await made.passed(name(MANY))
        with pytest.raises(Throttled):
            made.check(name(MANY + 1))
        made.check(name(0))  # has its own
        made.check(name(MANY, admin=True))
        await made.reset("SN1")
        made.check(name(MANY))

    asyncio.run(scene())


def test_root_may_end_the_pauses_while_such_a_pin_is_on_its_way(state: PrivateDirectory) -> None:
    async def scene() -> None:
        made = throttle(state)
        for number in range(NAMES):
            await wrong(made, name(number))
        await made.count(name(MANY), 10)
        await made.reset("SN1")
        made.lost(name(MANY))
        await made.count(name(MANY), 10)
        await made.withheld(name(MANY))

    asyncio.run(scene())
    assert ThrottleFile(state).load()[1] == {}


def test_what_could_not_be_read_again_is_not_written(state: PrivateDirectory) -> None:
    file = ThrottleFile(state)
    file.save("one", {HONEST: Failures(3, 60.0)})
    with pytest.raises(StoreFailed):
        file.save("one", {name(number): Failures(3, 60.0) for number in range(FILE_MAX // 100)})
    assert file.load() == ("one", {HONEST: Failures(3, 60.0)})
    assert (state.path / FOLDER / FILE).stat().st_size < FILE_MAX
