# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey that was found, and goes before all is done: what became of it is told, at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName
from tests.inprocess.pcscd import Pcscd
from tests.support.ukeys import Softkey

from .conftest import READERS, Make
from .rig import MOMENT, PIN, ROOT, Held, Service, cards, run

EXPORT_PUBLIC_KEY = 0x88
#: A service on readers of this process, and a ukey in the first of them.
Happens = Callable[[Service, Softkey, Pcscd], Awaitable[None]]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(MOMENT)


async def is_reset(service: Service, ukey: Softkey, pcscd: Pcscd) -> None:
    ukey.control.remove()
    await service.put_in(ukey)


async def is_enumerated_again(service: Service, ukey: Softkey, pcscd: Pcscd) -> None:
    ukey.control.remove()
    pcscd.remove_reader(READERS[0])
    await until(lambda: all(each.reader != READERS[0] for each in service.ukeys.present()))
    pcscd.add_reader(READERS[0])
    ukey.control.insert()


async def pcscd_is_restarted(service: Service, ukey: Softkey, pcscd: Pcscd) -> None:
    pcscd.stop()
    await until(lambda: not service.ukeys.present())
    pcscd.start()


async def is_taken_out(service: Service, ukey: Softkey, pcscd: Pcscd) -> None:
    ukey.control.remove()
    await until(lambda: not cards(service.ukeys))


CAME_BACK = "The ukey was away for a moment: it went and came back, as when its reader is reset."
ENDED = "The ukey was away for a moment: pcscd ended, or was started again. Try again."


@pytest.mark.parametrize(
    ("happens", "error", "told"),
    [
        (is_reset, ErrorName.UKEY_RESTARTED, CAME_BACK + " Try again."),
        (is_enumerated_again, ErrorName.UKEY_RESTARTED, CAME_BACK + " Try again."),
        (pcscd_is_restarted, ErrorName.UKEY_RESTARTED, ENDED),
        (
            is_taken_out,
            ErrorName.UKEY_ABSENT,
            "The ukey was taken out too early. Insert it and try again.",
        ),
    ],
    ids=["reset", "enumerated again", "pcscd restarted", "taken out"],
)
def test_at_a_choice_before_the_pin(
    tmp_path: Path, make: Make, readers: Pcscd, happens: Happens, error: ErrorName, told: str
) -> None:
    """The ukey was asked what is on it, and nothing else was sent to it yet."""
    ukey = make(containers=("login", "mail"))

    async def scene(service: Service) -> None:
        async def meanwhile() -> bytes:
            await happens(service, ukey, readers)
            return b"1"

        request = Request(operations.BIND, "alice")
        held: Held = await service.hold(request, meanwhile, caller=ROOT)
        assert held.prompts == ["Number of the container to use: "]
        assert (held.verdict.error, held.verdict.text) == (error, told)

    run(tmp_path, scene)


def test_when_a_login_asks_for_its_key(tmp_path: Path, make: Make, readers: Pcscd) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(pull="after", ins=[EXPORT_PUBLIC_KEY])
        at_work = asyncio.ensure_future(service.login())
        await until(lambda: not cards(service.ukeys))
        ukey.control.behave()
        ukey.control.insert()
        held = await at_work
        assert (held.code, held.verdict.text) == (Code.AUTHINFO_UNAVAIL, CAME_BACK + " Try again.")
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)
