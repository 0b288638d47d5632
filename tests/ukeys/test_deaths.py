# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Processes that die, and the state afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from keyservice.core.errors import (
    ReaderAbsent,
    UkeyFailed,
    UkeyRestarted,
)
from keyservice.ukeys.pool import UkeyHandle, Ukeys
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.ukeys.real import (
    PIN,
    children,
    found,
    run,
    sign,
    soon,
    until,
    worker_of,
)

READER = "Virtual PCD 00 00"


@pytest.fixture
def softkey(own_softkey: Softkey) -> Softkey:
    """Behind the real pcscd; the workers are processes."""
    return own_softkey


def test_a_killed_worker_is_replaced(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        for _ in range(3):
            os.kill(worker_of(READER), signal.SIGKILL)
            assert await _right(handle)
        softkey.control.misbehave(slow=200)
        busy = asyncio.ensure_future(sign(handle))
        await asyncio.sleep(0.3)
        os.kill(worker_of(READER), signal.SIGKILL)
        with pytest.raises(UkeyFailed, match="worker ended"):
            await busy
        softkey.control.behave()
        assert await sign(handle)
        assert len(children()["worker"]) == 2

    run(scenario)


async def _right(handle: UkeyHandle) -> bool:
    """Sign; the first attempt may meet a worker that is dying."""
    try:
        return await sign(handle)
    except UkeyFailed:
        return await sign(handle)


def test_a_killed_watcher_is_replaced(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        [pid] = children()["watcher"]
        os.kill(pid, signal.SIGKILL)
        assert await sign(handle)
        softkey.remove()
        await until(ukeys, lambda: not ukeys.present()[0].card_present)
        assert children()["watcher"] != [pid]

    run(scenario)


def test_pcscd_dies_and_comes_back(host: Host, own_pcscd: Daemon) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        own_pcscd.kill()
        with pytest.raises(UkeyRestarted):
            await sign(handle)
        await until(ukeys, lambda: ukeys.present() == [])
        with pytest.raises(ReaderAbsent):
            ukeys.find("SN1")
        await asyncio.to_thread(host.pcscd)
        await until(ukeys, lambda: any(each.info for each in ukeys.present()))
        assert await sign(ukeys.find("SN1"))
        assert len(children()["worker"]) == 2

    host.softkey(serial="SN1", pin=PIN)
    run(scenario)


def test_pcscd_may_come_after_the_service(host: Host) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        with pytest.raises(ReaderAbsent):
            ukeys.check_there()
        await asyncio.to_thread(host.pcscd)
        await asyncio.to_thread(host.softkey, serial="SN1", pin=PIN)
        await until(ukeys, lambda: any(each.info for each in ukeys.present()))
        assert await sign(ukeys.find("SN1"))

    run(scenario)


def test_workers_die_with_the_service(softkey: Softkey) -> None:
    program = f"""
import asyncio, os, sys, time
sys.path.insert(0, {os.fspath(CHECKOUT)!r})
from keyservice.ukeys.pool import Ukeys
from keyservice.ukeys.settings import ReaderSettings
async def main():
    ukeys = Ukeys(ReaderSettings(allow_virtual_readers=True))
    await ukeys.start()
    await ukeys.settled(time.monotonic() + 20)
    children = open(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read()
    print(children, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""

    async def main() -> list[int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return [int(pid) for pid in out.split()]

    pids = asyncio.run(asyncio.wait_for(main(), 30))
    assert len(pids) == 3
    deadline = soon()
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
