# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ukeys, strangers and dying processes can do to the pool, and what they cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keyservice.core.errors import (
    DeadlinePassed,
    PinWrong,
    ReaderAbsent,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import Keep
from keyservice.ukeys.pool import UkeyHandle, Ukeys
from keyservice.ukeys.settings import ReaderSettings
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.ukeys.conftest import (
    LOGIN,
    NEW,
    PIN,
    REF,
    WRONG,
    children,
    commands,
    found,
    run,
    sign,
    soon,
    until,
    worker_of,
)

READER = "Virtual PCD 00 00"
IMPATIENT = ReaderSettings(allow_virtual_readers=True, operation_deadline=1.0)

_STRANGER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from keyservice.transport.pcsc import Card
with Card(sys.argv[2]).transaction():
    print("held", flush=True)
    time.sleep(60)
"""


@asynccontextmanager
async def stranger(reader: str) -> AsyncIterator[None]:
    """Somebody who holds a transaction on the reader, and ends in it."""
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


# -- strangers


def test_a_stranger_costs_a_login_its_deadline_and_not_the_reader(
    host: Host, softkey: Softkey
) -> None:
    host.softkey("other", slot=1, serial="SN2", pin=PIN)

    async def scenario(ukeys: Ukeys) -> None:
        one, two = await found(ukeys, "SN1"), await found(ukeys, "SN2")
        assert await sign(one)
        async with stranger(READER):
            started = time.monotonic()
            held = asyncio.ensure_future(sign(one, deadline=soon(0.8)))
            assert await sign(two)  # nobody else waits
            assert not held.done()
            with pytest.raises(DeadlinePassed):
                await held
            assert 0.7 < time.monotonic() - started < 3
            started = time.monotonic()
            with pytest.raises(DeadlinePassed):  # the limit of one operation
                await sign(one, deadline=soon(30))
            assert time.monotonic() - started < 10
        assert await sign(one)
        assert len(children()["worker"]) == 2

    run(scenario, IMPATIENT)


def test_a_card_held_at_its_insertion_is_asked_again(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(slow=1500, ins=(0x04,))
        softkey.insert()
        await until(ukeys, lambda: ukeys.present()[0].card_present)
        with pytest.raises(UkeyAbsent):
            ukeys.find("SN1")
        softkey.control.behave()
        await until(ukeys, lambda: ukeys.present()[0].info is not None)
        assert await sign(ukeys.find("SN1"))

    run(scenario, IMPATIENT)


# -- ukeys


@pytest.mark.parametrize(
    "faults",
    [
        {"garbage": "random"},
        {"garbage": "byte"},
        {"garbage": "status"},
        {"garbage": "huge"},
        {"lengthen": 1},
        {"lengthen": -1},
        {"sw": 0x6F00},
        {"foreign": True},
    ],
)
def test_nonsense_at_any_command_fails_that_login_and_the_next_works(
    softkey: Softkey, faults: dict[str, Any]
) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        for at in range(1, len(LOGIN) + 1):
            commands(softkey)
            softkey.control.misbehave(at=at, **faults)
            try:
                right = await sign(handle, keep=Keep.NONE)
            except UkeyError as error:
                assert isinstance(error, UkeyFailed | UkeyRemoved | PinWrong)
                right = False
            # an answer without data cannot be shortened
            assert right == (faults == {"lengthen": -1} and at in (3, 5))
            softkey.control.behave()
            assert await sign(await found(ukeys))
            assert softkey.tries_left() == 10

    run(scenario)


@pytest.mark.parametrize("signature", ["flipped", "zero", "out-of-range", "other-key", "replayed"])
def test_a_wrong_signature_is_passed_on_and_does_not_verify(
    softkey: Softkey, signature: str
) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        softkey.control.misbehave(signature=signature)
        assert not await sign(handle)
        softkey.control.behave()
        assert await sign(handle)

    run(scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_at_any_command(softkey: Softkey, when: str) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        for at in range(1, len(LOGIN) + 1):
            handle = await found(ukeys)
            await sign(handle)
            commands(softkey)
            softkey.control.misbehave(pull=when, at=at)
            with pytest.raises(UkeyRemoved):
                await sign(handle)
            softkey.control.behave()
            softkey.insert()
            await back(ukeys)

    run(scenario)


async def back(ukeys: Ukeys, pin: bytes = PIN) -> None:
    """Until the ukey that was put back signs. pcscd may not have seen that it was out."""
    async with asyncio.timeout(10):
        while True:
            try:
                assert await sign(await found(ukeys), pin)
            except (UkeyRemoved, TimeoutError):
                await asyncio.sleep(0.02)
            else:
                return


def test_a_mute_ukey_costs_its_deadline_until_it_is_pulled(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        await sign(handle)
        softkey.control.misbehave(mute=True)
        with pytest.raises(DeadlinePassed):
            await sign(handle, deadline=soon(0.5))
        assert handle.known_pin(REF) is None  # nobody knows whether a try was spent
        softkey.remove()
        softkey.control.behave()
        softkey.insert()
        await back(ukeys)

    run(scenario, IMPATIENT)


def test_another_ukey_in_the_same_place_is_never_given_the_pin(host: Host, pcscd: Daemon) -> None:
    one = host.softkey("one", serial="SN1", pin=PIN)

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        one.close()
        two = host.softkey("two", serial="SN2", pin=PIN)  # pcscd, mostly, has seen nothing
        with pytest.raises(UkeyRemoved):
            await sign(handle)
        assert 0x18 not in commands(two)
        await until(ukeys, lambda: any(e.info and e.info.serial == "SN2" for e in ukeys.present()))
        assert await sign(ukeys.find("SN2"))
        with pytest.raises(UkeyRemoved):
            await sign(handle)

    run(scenario)


def test_a_card_that_is_no_ukey_is_left_alone(softkey: Softkey) -> None:
    softkey.remove()

    async def scenario(ukeys: Ukeys) -> None:
        await ukeys.settled(soon())
        softkey.control.misbehave(foreign=True)
        softkey.insert()
        await until(ukeys, lambda: ukeys.present()[0].card_present)
        await ukeys.settled(soon())
        assert ukeys.present()[0].info is None
        with pytest.raises(UkeyAbsent):
            ukeys.find("SN1")
        assert commands(softkey) == [0x04]

    run(scenario)


# -- processes that die


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
    """Sign, where the first attempt may meet a worker that is dying."""
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


def test_pcscd_dies_and_comes_back(host: Host, pcscd: Daemon) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        assert await sign(handle)
        pcscd.kill()
        with pytest.raises((ReaderAbsent, UkeyRemoved)):
            await sign(handle)
        await until(ukeys, lambda: ukeys.present() == [])
        with pytest.raises(ReaderAbsent):
            ukeys.find("SN1")
        with pytest.raises(ReaderAbsent):
            await ukeys.settled(soon())
        await asyncio.to_thread(host.pcscd)
        await until(ukeys, lambda: any(each.info for each in ukeys.present()))
        assert await sign(ukeys.find("SN1"))
        assert len(children()["worker"]) == 2

    host.softkey(serial="SN1", pin=PIN)
    run(scenario)


def test_pcscd_may_come_after_the_service(host: Host) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        with pytest.raises(ReaderAbsent):
            await ukeys.settled(soon())
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


# -- a PIN change that is cut off

#: GetPINInfo, GenRandom, VerifyPIN, GenRandom, ChangePIN, ClearSecureState
CHANGE = [0x14, 0x50, 0x18, 0x50, 0x16, 0x1C]


@pytest.mark.parametrize("cut", ["worker", "pull", "die"])
def test_killed_after_every_command_of_a_pin_change(host: Host, pcscd: Daemon, cut: str) -> None:
    async def scenario(ukeys: Ukeys) -> dict[int, bytes]:
        pins: dict[int, bytes] = {}
        current, other = PIN, NEW
        for at in range(1, len(CHANGE) + 1):
            handle = await found(ukeys)
            await sign(handle, current)
            commands(softkey)
            attempt = asyncio.ensure_future(_change(handle, current, other))
            if cut == "worker":
                softkey.control.misbehave(slow=400, at=at)
                while len(softkey.control.apdus()) < at:
                    await asyncio.sleep(0.005)
                os.kill(worker_of(READER), signal.SIGKILL)
            else:
                softkey.control.misbehave(at=at, **{cut: "after"})
            with pytest.raises((UkeyFailed, UkeyRemoved)):
                await attempt
            if cut == "die":
                await asyncio.to_thread(softkey.start)
            softkey.control.behave()
            if cut == "pull":
                softkey.insert()
            pins[at] = await _which(ukeys, current, other)
            if pins[at] == other:
                current, other = other, current
        return pins

    softkey = host.softkey(serial="SN1", pin=PIN)
    pins = run(scenario)
    print(f"{cut}: {len(pins)} commands, the PIN after each: {pins}")
    # the old one before ChangePIN was done, the new one from then on
    assert [pins[at] for at in (1, 2, 3, 4)] == [PIN] * 4
    assert pins[5] == NEW
    assert pins[6] == PIN  # changed back


async def _change(handle: UkeyHandle, old: bytes, new: bytes) -> None:
    await asyncio.sleep(0.1)
    with Secret(old) as old_pin, Secret(new) as new_pin:
        await handle.change_pin(REF, old_pin, new_pin, Keep.NONE, soon())


async def _which(ukeys: Ukeys, *pins: bytes) -> bytes:
    """The one that is right."""
    right = []
    for pin in pins:
        try:
            await back(ukeys, pin)
            right.append(pin)
        except PinWrong:
            pass
    assert len(right) == 1
    await back(ukeys, right[0])  # earns the tries back
    return right[0]


# -- for ever


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


@pytest.mark.parametrize("there", [True, False])
def test_an_idle_pool_sleeps(host: Host, there: bool) -> None:
    if there:
        host.pcscd()
        host.softkey(serial="SN1", pin=PIN)

    async def scenario(ukeys: Ukeys) -> None:
        if there:
            await sign(await found(ukeys))
        else:
            with pytest.raises(ReaderAbsent):
                await ukeys.settled(soon())
            await asyncio.sleep(12)  # its patience grows: 0.02, 0.04, … 20.48 s
        await asyncio.sleep(1)
        pids = [pid for each in children().values() for pid in each]
        before = {pid: _switches(pid) for pid in pids}
        await asyncio.sleep(10)
        # reading the numbers of a process does not wake it up
        assert sum(_switches(pid) - before[pid] for pid in pids) <= 1

    run(scenario)


def _switches(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


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
