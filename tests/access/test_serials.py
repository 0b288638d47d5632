# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ukeys whose serials are no names: seen twice, one for a batch, none at all."""

from __future__ import annotations

from pathlib import Path

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Info

from .conftest import Make
from .rig import PIN, ROOT, Service, run


def bind(user: str, serial: str = "", lang: str = "") -> Request:
    return Request(operations.BIND, user, serial=serial, lang=lang)


def test_readers_that_show_one_serial_are_named(tmp_path: Path, make: Make) -> None:
    make(serial="S1")
    make(1, serial="S1")

    async def scene(service: Service) -> None:
        for serial in ("", "S1"):
            held = await service.hold(bind("alice", serial), caller=ROOT)
            assert held.verdict.error is ErrorName.UKEY_AMBIGUOUS
            readers = "Virtual PCD 00 00, Virtual PCD 00 01"
            assert f"a ukey with the serial S1: {readers}." in held.verdict.text
            assert "readers.deny" in held.verdict.text

    run(tmp_path, scene)


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
