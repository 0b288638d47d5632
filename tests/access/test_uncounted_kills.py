# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The count of wrong PINs when the service is killed in the middle, again and again."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from keyservice.contract.names import Code
from keyservice.contract.steps import Prompt
from keyservice.core.secret import Secret
from tests.support.ukeys import Softkey

from .rig import PIN, WRONG, login, serving
from .test_uncounted import COUNTED, GEN_RANDOM, GUESSES, RULES, VERIFY_PIN, at_work, guess, paused


async def killed(folder: Path, ukey: Softkey, number: int, ins: int, pin: bytes) -> bool:
    """Log in with the files that the last service left; kill the new one when the ukey is at `ins`.

    A killed process leaves its files as they are at that moment; the next one has a copy of them.
    Returns whether the PIN was asked.
    """
    asked = False
    async with serving(folder / str(number), RULES) as service:
        ukey.control.misbehave(slow=60, ins=[ins])
        ukey.control.reset_apdus()
        session = service.begin(login())
        async with asyncio.timeout(10):
            asked = isinstance(await session.next_step(), Prompt)
        if asked:
            session.answer(Secret(pin))
            await at_work(ukey, ins)
        shutil.copytree(folder / str(number), folder / str(number + 1), ignore=_sockets)
        if asked and ins != VERIFY_PIN:
            with suppress(Exception):  # it goes no further than that
                await service.ukeys.stop()
    return asked


def _sockets(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "log"]


def test_a_service_that_is_killed_has_counted(tmp_path: Path, ukey: Softkey) -> None:
    async def play() -> None:
        (tmp_path / "0").mkdir()
        async with serving(tmp_path / "0", RULES) as service:
            service.bind(ukey)
        asked = [await killed(tmp_path, ukey, n, VERIFY_PIN, WRONG) for n in range(GUESSES)]
        assert asked == [True] * COUNTED + [False] * (GUESSES - COUNTED)
        async with serving(tmp_path / str(GUESSES), RULES) as service:
            await paused(service, ukey)

    asyncio.run(play())


def test_a_service_that_crashes_pauses_no_honest_owner(tmp_path: Path, ukey: Softkey) -> None:
    async def play() -> None:
        (tmp_path / "0").mkdir()
        async with serving(tmp_path / "0", RULES) as service:
            service.bind(ukey)
            await guess(service)
        asked = [await killed(tmp_path, ukey, n, GEN_RANDOM, PIN) for n in range(GUESSES)]
        assert asked == [True] * GUESSES
        ukey.control.behave()
        async with serving(tmp_path / str(GUESSES), RULES) as service:
            assert (await service.login(PIN)).code is Code.SUCCESS

    asyncio.run(play())
