# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tries left, as soon as a ukey is inserted: in lists, in the first prompt, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from keyservice.access.administration import Administration
from keyservice.access.insertions import Insertions
from keyservice.access.settings import Rules
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Wait
from tests.support.ukeys import Softkey

from .conftest import Make
from .disk import Disk
from .rig import MOMENT, PIN, ROOT, Service, carry, login, refused, run, uniform

RULES = Rules(allow_virtual_readers=True, wait_for_ukey=0)
VERIFY_PIN, PIN_INFO = 0x18, 0x14
LOGIN = [PIN_INFO, 0x50, VERIFY_PIN, 0x74, 0x1C]


async def tries(service: Service) -> list[object]:
    """Of each ukey that is in a reader, as lists show them."""
    rows = await Administration(service.services, service.sessions, "1").list_ukeys(ROOT)
    return [row.get("left") for row in rows if row["card"]]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(MOMENT)


def sent(ukey: Softkey) -> list[int]:
    return [ins for ins, _ in ukey.control.apdus()]


def test_lists_know_the_tries_once_a_bound_ukey_is_inserted(tmp_path: Path, make: Make) -> None:
    """The ukey is asked once, which spends nothing; one that nobody has is not asked."""
    mine, strange = make(inserted=False), make(1, inserted=False)
    mine.set_tries(7)

    async def scene(service: Service) -> None:
        service.bind(mine)
        insertions = Insertions(service.services)

        async def known(*left: object) -> bool:
            return await tries(service) == list(left)

        mine.control.insert()
        await until(lambda: known(7))
        assert sent(mine).count(PIN_INFO) == 1
        strange.control.insert()
        await until(lambda: known(7, None))
        await asyncio.sleep(0.1)
        assert PIN_INFO not in sent(strange)
        mine.control.reset_apdus()
        held = await service.login(PIN)
        assert held.prompts == ["PIN of ukey SN0 (7 tries left): "]
        assert sent(mine)[-5:] == LOGIN
        insertions.stop()

    run(tmp_path, scene, RULES)


def test_the_first_prompt_after_an_insertion_tells_the_tries(tmp_path: Path, make: Make) -> None:
    """Even of a login that waits for the ukey, and comes before any other look at it."""
    ukey = make(inserted=False)
    ukey.set_tries(1)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        session = service.begin(login())
        assert isinstance(await session.next_step(), Wait)
        ukey.control.insert()
        held = await carry(session, PIN)
        assert held.prompts == ["PIN of ukey SN0 (1 try left): "]
        assert held.code is Code.SUCCESS

    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=20))


def test_no_pin_is_asked_of_a_ukey_that_was_locked_elsewhere(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)
    ukey.set_tries(0)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.put_in(ukey)
        refused(await service.login(), Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)

    run(tmp_path, scene, RULES)


def test_under_uniform_a_login_reads_the_tries_once_as_ever(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(uniform(), PIN)
        assert held.prompts == ["PIN of the ukey: "]
        assert sent(ukey)[-5:] == LOGIN
        assert sent(ukey).count(PIN_INFO) == 1

    run(tmp_path, scene, RULES)


def test_a_disk_that_hangs_for_the_look_keeps_nobody_waiting(
    tmp_path: Path, make: Make, disk: Disk
) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        insertions = Insertions(service.services)
        disk.hang("scandir")
        await service.put_in(ukey)
        assert await asyncio.to_thread(disk.hung.wait, 10)
        assert (await service.login(PIN)).code is Code.SUCCESS
        insertions.stop()

    run(tmp_path, scene, RULES)


def test_a_ukey_that_is_out_again_ends_the_look_and_the_next_one_begins(
    tmp_path: Path, make: Make
) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        insertions = Insertions(service.services)
        ukey.control.misbehave(slow=200, ins=[PIN_INFO])
        await service.put_in(ukey)

        async def asked() -> bool:
            return PIN_INFO in sent(ukey)

        await until(asked)
        ukey.control.remove()
        ukey.control.behave()
        await service.put_in(ukey)

        async def known() -> bool:
            return await tries(service) == [10]

        await until(known)
        insertions.stop()

    run(tmp_path, scene, RULES)
