# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIN change that is cut off at any command leaves the old or the new PIN."""

from __future__ import annotations

import asyncio

import pytest

from keyservice.core.errors import (
    PinWrong,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.ukeys.base import TryReserve
from keyservice.ukeys.operations import CHANGE_PIN, Arguments
from keyservice.ukeys.pool import UkeyHandle, Ukeys
from tests.ukeys.desks import Desk
from tests.ukeys.real import (
    NEW,
    PIN,
    REF,
    back,
    commands,
    found,
    run,
    sign,
    soon,
)

READER = "Virtual PCD 00 00"

#: GetPINInfo, GenRandom, VerifyPIN, GenRandom, ChangePIN, ClearSecureState
CHANGE = [0x14, 0x50, 0x18, 0x50, 0x16, 0x1C]


@pytest.mark.parametrize("cut", ["worker", "pull", "die"])
def test_killed_after_every_command_of_a_pin_change(desk: Desk, cut: str) -> None:
    killed_after_every_command(desk, cut)


def killed_after_every_command(desk: Desk, cut: str) -> None:
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
                desk.kill_worker(READER)
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

    softkey = desk.softkey()
    pins = run(scenario)
    print(f"{cut}: {len(pins)} commands, the PIN after each: {pins}")
    # the old one before ChangePIN was done, the new one from then on
    assert [pins[at] for at in (1, 2, 3, 4)] == [PIN] * 4
    assert pins[5] == NEW
    assert pins[6] == PIN  # changed back


async def _change(handle: UkeyHandle, old: bytes, new: bytes) -> None:
    await asyncio.sleep(0.1)
    with Secret(old) as old_pin, Secret(new) as new_pin:
        await handle.do(
            CHANGE_PIN,
            Arguments(REF, pin=old_pin, new_pin=new_pin, reserve=TryReserve.NONE),
            soon(),
        )


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
