# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tries of a PIN: which may be spent by whom, and the pauses between them."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from keyservice.access.settings import Rules
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Prompt
from keyservice.core.secret import Secret
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import (
    BOOT,
    GETTY,
    LOCKER,
    PIN,
    ROOT,
    SU,
    WRONG,
    Clock,
    Service,
    hang_up_at,
    login,
    refused,
    run,
)

#: One wrong PIN brings no pause, except in tests that are about pauses.
PATIENT = Rules(allow_virtual_readers=True, wait_for_ukey=0, throttle_after=10)


def test_the_last_try_is_for_a_login_that_root_began(tmp_path: Path, make: Make) -> None:
    ukey = make(tries=3)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(2):
            assert (await service.login(WRONG, caller=SU)).code is Code.AUTH_ERR
        for caller in (SU, ROOT, LOCKER, dataclasses.replace(GETTY, logind_session="desk")):
            held = await service.login(caller=caller)
            refused(held, Code.MAXTRIES, ErrorName.TRY_WITHHELD, asked=False)
        assert ukey.tries_left() == 1
        assert (await service.login(PIN)).code is Code.SUCCESS
        for _ in range(3):
            assert (await service.login(WRONG)).code in (Code.AUTH_ERR, Code.MAXTRIES)
        assert ukey.tries_left() == 0
        held = await service.login()
        refused(held, Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)

    run(tmp_path, scene, PATIENT)


def test_a_locker_leaves_the_reserve(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(7):
            assert (await service.login(WRONG, caller=LOCKER)).code is Code.AUTH_ERR
        held = await service.login(caller=LOCKER)
        refused(held, Code.MAXTRIES, ErrorName.TRY_WITHHELD, asked=False)
        assert ukey.tries_left() == 3
        assert (await service.login(PIN, caller=SU)).code is Code.SUCCESS

    run(tmp_path, scene, PATIENT)


def test_tries_that_came_back_elsewhere_are_seen(tmp_path: Path, make: Make) -> None:
    """Locked as last seen: the ukey itself is asked before anybody is turned away."""
    ukey = make(tries=1)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(WRONG)).code in (Code.AUTH_ERR, Code.MAXTRIES)
        ukey.control.reset_apdus()
        refused(await service.login(), Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)
        assert [ins for ins, _ in ukey.control.apdus()] == [0x14]

    run(tmp_path, scene, PATIENT)


def test_three_wrong_pins_are_followed_by_a_pause_that_doubles(
    tmp_path: Path, ukey: Softkey
) -> None:
    clock = Clock()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(3):
            assert (await service.login(WRONG)).code is Code.AUTH_ERR
        held = await service.login()
        refused(held, Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        assert held.verdict.detail["seconds"] == 60
        clock.seconds += 59
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        clock.seconds += 1
        assert (await service.login(WRONG)).code is Code.AUTH_ERR
        clock.seconds += 119

    async def after_a_restart(service: Service) -> None:
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        clock.seconds += 1
        assert (await service.login(PIN)).code is Code.SUCCESS
        for _ in range(2):
            assert (await service.login(WRONG)).code is Code.AUTH_ERR
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene, clock=clock)
    run(tmp_path, after_a_restart, clock=clock, boot=BOOT)


def test_hanging_up_hides_no_wrong_pin(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        ukey.control.misbehave(slow=200, ins=[0x18])
        service.lines()
        for _ in range(3):
            session = service.begin(login())
            assert isinstance(await session.next_step(), Prompt)
            session.answer(Secret(WRONG))
            await hang_up_at(ukey, 0x18, session)
            await session.ended()
        assert [line.count('reason="PinWrong') for line in service.lines()] == [1, 1, 1]
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)

    run(tmp_path, scene)


def test_those_who_wait_behind_wrong_pins_are_throttled_too(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        everyone = await asyncio.gather(*(service.login(WRONG) for _ in range(6)))
        codes = sorted(held.code.value for held in everyone)
        assert codes == ["AUTH_ERR"] * 3 + ["MAXTRIES"] * 3
        assert ukey.tries_left() == 7

    run(tmp_path, scene)
