# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a pool holds after many logins, and how soundly it sleeps."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from keyservice.core.errors import (
    DeadlinePassed,
    PinWrong,
)
from keyservice.ukeys.pool import Ukeys
from tests.support.process import wake_ups
from tests.support.ukeys import Softkey
from tests.ukeys.real import (
    LOGIN,
    WRONG,
    children,
    commands,
    found,
    run,
    sign,
    soon,
    worker_of,
)

pytestmark = pytest.mark.slow

READER = "Virtual PCD 00 00"


@pytest.fixture
def softkey(own_softkey: Softkey) -> Softkey:
    """Behind the real pcscd; the workers are processes."""
    return own_softkey


def test_nothing_grows(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        for _ in range(200):
            await sign(handle)
        worker = worker_of(READER)
        before = [_held(pid) for pid in (os.getpid(), worker)]
        for number in range(1000):
            if number % 10 == 0:
                with pytest.raises(PinWrong):
                    await sign(handle, WRONG)
            assert await sign(handle)
        after = [_held(pid) for pid in (os.getpid(), worker)]
        for (files, memory), (files_before, memory_before) in zip(after, before, strict=True):
            assert files <= files_before
            assert memory - memory_before < 1024  # KB

    run(scenario)


def _held(pid: int) -> tuple[int, int]:
    """Open descriptors, and resident memory in KB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    [memory] = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), memory


def test_an_idle_pool_sleeps(softkey: Softkey) -> None:
    """One without pcscd does too: tests/servers/test_server_service.py, beside an idle service."""

    async def scenario(ukeys: Ukeys) -> None:
        await sign(await found(ukeys))
        await asyncio.sleep(1)
        pids = [pid for each in children().values() for pid in each]
        before = {pid: wake_ups(pid) for pid in pids}
        await asyncio.sleep(10)
        # reading the numbers of a process does not wake it up
        assert sum(wake_ups(pid) - before[pid] for pid in pids) <= 1

    run(scenario)


def test_a_login_costs_what_it_should_after_a_worker_was_replaced(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        with pytest.raises(DeadlinePassed):
            softkey.control.misbehave(slow=1000)
            await sign(handle, deadline=soon(0.2))
        softkey.control.behave()
        commands(softkey)
        assert await sign(handle)
        told = commands(softkey)
        assert sorted(told) == sorted([0x04, 0x26, 0x42, *LOGIN])

    run(scenario)
