# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ukeys whose serials are no names: seen twice, one for a batch, none at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Info
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import MOMENT, PIN, ROOT, Service, cards, run, seen, uniform


def bind(user: str, serial: str = "", lang: str = "") -> Request:
    return Request(operations.BIND, user, serial=serial, lang=lang)


READERS = "Virtual PCD 00 00, Virtual PCD 00 01"


def seen_twice(make: Make) -> Softkey:
    """One ukey, as two readers show it."""
    first, second = make(serial="S1"), make(1, serial="S1", inserted=False)
    second.file.write(first.file.load())
    second.start()
    return first


def test_one_ukey_that_is_seen_twice_is_told_as_that(tmp_path: Path, make: Make) -> None:
    ukey = seen_twice(make)

    async def scene(service: Service) -> None:
        for serial in ("", "S1"):
            held = await service.hold(bind("alice", serial), caller=ROOT)
            assert held.verdict.error is ErrorName.UKEY_AMBIGUOUS
            assert f"one and the same ukey, S1: {READERS}." in held.verdict.text
            assert "readers.deny" in held.verdict.text
        held = await service.hold(bind("alice", lang="zh_CN.UTF-8"), caller=ROOT)
        assert "同一个 ukey S1" in held.verdict.text
        service.bind(ukey)
        held = await service.login()
        assert "one and the same ukey, S1" in held.verdict.text
        ukey.control.reset_apdus()
        held = await service.hold(uniform(), PIN)
        assert (held.verdict.text, ukey.control.apdus()) == ("Authentication failed.", [])

    run(tmp_path, scene)


def test_several_ukeys_of_one_serial_are_told_as_that(tmp_path: Path, make: Make) -> None:
    mine, other = make(serial="S1"), make(1, serial="S1")

    async def scene(service: Service) -> None:
        for request in (bind("alice"), bind("alice", "S1")):
            held = await service.hold(request, caller=ROOT)
            assert held.verdict.error is ErrorName.UKEY_AMBIGUOUS
            assert f"with the serial S1 are inserted ({READERS})" in held.verdict.text
            assert "different keys" in held.verdict.text
        held = await service.hold(bind("alice", lang="zh_CN.UTF-8"), caller=ROOT)
        assert "不同的密钥" in held.verdict.text
        service.bind(mine)
        held = await service.login()
        assert "Leave only yours inserted." in held.verdict.text
        other.remove()
        await until_gone(service, 1)
        assert (await service.login(PIN)).code is Code.SUCCESS  # what it says can be done

    run(tmp_path, scene)


def test_ukeys_that_show_no_keys_are_told_without(tmp_path: Path, make: Make) -> None:
    for slot in (0, 1):
        make(slot, serial="S1", containers=())

    async def scene(service: Service) -> None:
        held = await service.hold(bind("alice"), caller=ROOT)
        assert f"a ukey with the serial S1: {READERS}." in held.verdict.text

    run(tmp_path, scene)


def test_where_all_are_bound_another_one_of_a_bound_serial_is_meant(
    tmp_path: Path, make: Make
) -> None:
    alices, bobs = make(serial="S1"), make(1, serial="S2")

    async def scene(service: Service) -> None:
        service.bind(alices)
        service.bind(bobs, "bob")
        held = await service.hold(bind("carol"), caller=ROOT)
        assert held.verdict.error is ErrorName.ALREADY_BOUND
        assert "bound already: S1 (alice), S2 (bob). Insert the one to bind" in held.verdict.text
        held = await service.hold(bind("carol", lang="zh_CN.UTF-8"), caller=ROOT)
        assert "S1 (alice), S2 (bob)" in held.verdict.text
        assert "都已绑定" in held.verdict.text
        bobs.remove()
        await until_gone(service, 1)
        batch = make(1, serial="S2")
        await seen(service.ukeys)
        held = await service.hold(bind("carol"), caller=ROOT)
        assert "serial S2 is bound to bob, and has another key than this one" in held.verdict.text
        assert batch.tries_left() == 10

    run(tmp_path, scene)


async def until_gone(service: Service, left: int) -> None:
    async with asyncio.timeout(10):
        while len(cards(service.ukeys)) != left:
            await asyncio.sleep(MOMENT)


def test_another_ukey_of_a_bound_serial_is_not_called_bound(tmp_path: Path, make: Make) -> None:
    first, second = make(serial="S1"), make(1, serial="S1", inserted=False)

    async def scene(service: Service) -> None:
        service.bind(first)
        held = await service.hold(bind("bob"), caller=ROOT)
        assert "is bound to alice already" in held.verdict.text
        first.remove()
        second.insert()
        second.control.wait_inserted()
        for request in (bind("bob"), bind("bob", "S1")):
            held = await service.hold(request, caller=ROOT)
            assert held.verdict.error is ErrorName.ALREADY_BOUND
            assert "has another key than this one" in held.verdict.text
            assert "their maker gave them one serial" in held.verdict.text
        held = await service.hold(bind("bob", "S1", "zh_CN.UTF-8"), caller=ROOT)
        assert "厂商给了它们同一个序列号" in held.verdict.text

    run(tmp_path, scene)


def test_a_serial_of_zeros_is_told_of(tmp_path: Path, make: Make) -> None:
    make(serial="00000000")

    async def scene(service: Service) -> None:
        held = await service.hold(bind("alice"), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        told = [step.text for step in held.steps if isinstance(step, Info)]
        assert any("its maker gave it none" in text for text in told)

    run(tmp_path, scene)
