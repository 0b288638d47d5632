# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tests for the copy of the tree, where the toys are; ``test_seams`` runs them there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyservice.access.conversation import Request
from keyservice.access.operations import BY_NUMBER
from keyservice.config import parse
from keyservice.contract.names import Code, ErrorName
from keyservice.servers.bus_methods import METHODS, Right
from keyservice.store.records import Binding
from keyservice.ukeys.settings import ReaderSettings
from tests.access.conftest import READERS
from tests.access.rig import GETTY, LOCKER, Service, cards, serving
from tests.inprocess.pcscd import Pcscd
from tests.seams.toy_card import PIN, PUBLIC, WRONG, ToyCard
from tests.seams.toy_kind import REF


async def inserted(service: Service) -> None:
    async with asyncio.timeout(15):
        while not any(each.info for each in cards(service.ukeys)):
            await asyncio.sleep(0.01)


def binding(user: str = "alice", uid: int = 1000) -> Binding:
    return Binding(
        user=user,
        uid=uid,
        serial="TOY1",
        kind="toy",
        application=REF.application,
        container=REF.container,
        algorithm="toy",
        public_key=PUBLIC.hex(),
        attested=False,
        bound_at="2026-01-02T03:04:05Z",
        bound_by=0,
    )


def test_somebody_logs_in_with_a_toy(tmp_path: Path, readers: Pcscd) -> None:
    async def scene() -> None:
        async with serving(tmp_path) as service:
            readers.insert(READERS[0], ToyCard())
            await inserted(service)
            service.bindings.add(binding())
            assert (await service.login(WRONG)).verdict.error is ErrorName.PIN_WRONG
            assert (await service.login(PIN)).code is Code.SUCCESS
            assert (await service.login(b"12")).verdict.error is ErrorName.PIN_REFUSED

    asyncio.run(scene())


def test_somebody_else_logs_in_with_another_factor(tmp_path: Path) -> None:
    rules = parse("[services.login]\nfactors = ['ukey', 'riddle']").rules

    async def scene() -> None:
        async with serving(tmp_path, rules) as service:
            assert (await service.login(b"41", user="bob")).code is Code.AUTH_ERR
            assert (await service.login(b"42", user="bob")).code is Code.SUCCESS
            assert (await service.login(user="carol")).verdict.error is ErrorName.NOT_ENROLLED

    asyncio.run(scene())


def test_a_toy_has_settings_of_its_own() -> None:
    (rule,) = parse('[[quirks]]\ncolour = "blue"').readers.quirks
    assert rule.values["colour"] == "blue"
    assert rule in ReaderSettings(quirks=(rule,)).quirks


def test_an_operation_can_be_begun_by_every_way(tmp_path: Path, readers: Pcscd) -> None:
    greet = BY_NUMBER[0x0F]
    assert METHODS["BeginGreet"].right is Right.ANYONE

    async def scene() -> None:
        async with serving(tmp_path) as service:
            held = await service.hold(Request(greet, "alice"), caller=GETTY)
            assert held.text == "This is alice."
            assert any("greet" in line for line in service.lines())
            others = await service.hold(Request(greet, "bob"), caller=LOCKER)
            assert others.verdict.error is ErrorName.NOT_ALLOWED

    asyncio.run(scene())


@pytest.fixture(autouse=True)
def _doubled(readers: Pcscd) -> None:
    """pcscd and the workers' processes."""
