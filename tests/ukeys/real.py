# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pool of a test above real readers, and the test's questions to it."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from keyservice.core.errors import UkeyAbsent, UkeyHeld, UkeyRemoved
from keyservice.core.secret import Secret
from keyservice.crypto import algorithms
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.operations import SIGN, Arguments
from keyservice.ukeys.pool import ReaderEvent, UkeyHandle, Ukeys
from keyservice.ukeys.settings import ReaderSettings
from tests.support.ukeys import Softkey

T = TypeVar("T")

REF = KeyRef("ukey", "login")
PIN, WRONG, NEW = b"528491", b"111111", b"90210467"
SETTINGS = ReaderSettings(allow_virtual_readers=True)
#: Seconds that always suffice, on a machine that others use too.
PATIENCE = 20.0

#: A login on a ukey that is known, idle and open.
LOGIN = [0x14, 0x50, 0x18, 0x74, 0x1C]


def soon(seconds: float = PATIENCE) -> float:
    return time.monotonic() + seconds


def run(scenario: Callable[[Ukeys], Awaitable[T]], settings: ReaderSettings = SETTINGS) -> T:
    """Run `scenario` with a pool that has been started; no process of it is left afterwards."""

    async def main() -> T:
        async with pool(settings) as ukeys:
            return await asyncio.wait_for(scenario(ukeys), 55)

    result = asyncio.run(main())
    assert children() == {}
    return result


@asynccontextmanager
async def pool(settings: ReaderSettings) -> AsyncIterator[Ukeys]:
    ukeys = Ukeys(settings)
    await ukeys.start()
    try:
        yield ukeys
    finally:
        await ukeys.stop()


async def found(ukeys: Ukeys, serial: str = "SN1") -> UkeyHandle:
    """The ukey, as soon as it is there."""

    def there() -> bool:
        try:
            ukeys.find(serial)
        except (UkeyAbsent, UkeyHeld):
            return False
        return True

    await ukeys.settled(soon())
    await until(ukeys, there)
    return ukeys.find(serial)


async def until(ukeys: Ukeys, condition: Callable[[], bool]) -> list[ReaderEvent]:
    """Wait for reader events until `condition` holds; returns the events."""
    events: list[ReaderEvent] = []
    changed = asyncio.Event()

    def happened(event: ReaderEvent) -> None:
        events.append(event)
        changed.set()

    forget = ukeys.subscribe(happened)
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await changed.wait()
                changed.clear()
    finally:
        forget()
    return events


async def sign(
    handle: UkeyHandle,
    pin: bytes = PIN,
    reserve: TryReserve = TryReserve.RESERVE,
    deadline: float | None = None,
) -> bool:
    """Sign something fresh; whether the signature is right."""
    message = secrets.token_bytes(40)
    limit = deadline or soon()
    key = await handle.public_key(REF, limit)
    with Secret(pin) as secret:
        data = algorithms.to_sign(key, message)
        signature = await handle.do(
            SIGN, Arguments(REF, pin=secret, data=data, reserve=reserve), limit
        )
    return algorithms.verify(key, message, signature)


def commands(softkey: Softkey) -> list[int]:
    """The INS of each command since the last call."""
    told = [ins for ins, _ in softkey.control.apdus()]
    softkey.control.reset_apdus()
    return told


def children() -> dict[str, list[int]]:
    """The pids of our workers and watchers that live."""
    result: dict[str, list[int]] = {}
    for pid, command in _processes():
        for kind in ("worker", "watcher"):
            if f"\0{kind}\0" in command:
                result.setdefault(kind, []).append(pid)
    return result


def worker_of(reader: str) -> int:
    """The pid of the reader's worker."""
    [pid] = [p for p, command in _processes() if command.endswith(f"{reader}\0")]
    return pid


def _processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
                command = (folder / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                yield int(folder.name), command


async def back(ukeys: Ukeys, pin: bytes = PIN) -> None:
    """Wait until the ukey that was put back signs. pcscd may not have seen that it was out."""
    async with asyncio.timeout(10):
        while True:
            try:
                assert await sign(await found(ukeys), pin)
            except (UkeyRemoved, TimeoutError):
                await asyncio.sleep(0.02)
            else:
                return
