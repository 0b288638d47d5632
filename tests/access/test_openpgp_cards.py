# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""OpenPGP cards at the service: what is asked and told when one is bound, used and unblocked, and
when it makes a pair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Info
from keyservice.ukeys.quirks import QuirkRule
from keyservice.ukeys.settings import ReaderSettings
from tests.inprocess.openpgpcards import OpenPgpcardHere
from tests.inprocess.pcscd import Pcscd
from tests.openpgpcard.state import AUTHENTICATION

from .rig import (
    ADMIN_PIN,
    IN_READERS,
    LOCKER,
    MOMENT,
    NEW,
    PIN,
    ROOT,
    WRONG,
    Held,
    Service,
    cards,
    run,
)

Insert = Callable[..., OpenPgpcardHere]
CODE = b"41516273"


@pytest.fixture
def insert(readers: Pcscd, tmp_path: Path) -> Iterator[Insert]:
    def insert(**make: Any) -> OpenPgpcardHere:
        pairs = {"AUT": "p256"}
        given = {"pin": PIN, "admin_pin": ADMIN_PIN, "pairs": pairs, "inserted": True, **make}
        card = OpenPgpcardHere(readers, tmp_path / "card", 0, **given)
        IN_READERS.append(card)
        return card

    yield insert
    while IN_READERS:
        IN_READERS.pop().close()


def bind(**fields: Any) -> Request:
    return Request(operations.BIND, "alice", **fields)


def told(held: Held) -> list[str]:
    return [step.text for step in held.steps if isinstance(step, Info)]


@pytest.mark.parametrize("algorithm", ["p256", "ed25519", "rsa2048"])
def test_somebody_is_bound_and_logs_in(tmp_path: Path, insert: Insert, algorithm: str) -> None:
    """Only the authentication key counts: nobody is asked which of a card's keys it is to be."""
    card = insert(pairs={"AUT": algorithm, "SIG": "p256", "DEC": "p256"})

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert told(held) == []
        (binding,), _ = service.bindings.all()
        assert (binding.kind, binding.application, binding.container) == (
            *("openpgp", "openpgp"),
            "AUT",
        )
        assert binding.serial == card.serial
        assert (await service.login(WRONG)).verdict.error is ErrorName.PIN_WRONG
        assert card.tries_left() == 2
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene)


def test_the_default_pin_is_refused_once_it_was_right(tmp_path: Path, insert: Insert) -> None:
    """The card does not say that it has it."""
    card = insert(pin=None)

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), b"123456", caller=ROOT)
        assert held.verdict.error is ErrorName.DEFAULT_PIN
        assert service.bindings.all() == ([], [])
        held = await service.hold(bind(), caller=ROOT)  # and now before it is asked for
        assert held.verdict.error is ErrorName.DEFAULT_PIN
        allowed = bind(flags=Flag.ALLOW_DEFAULT_PIN)
        held = await service.hold(allowed, b"123456", caller=ROOT)
        assert held.code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene)


def test_a_pair_is_made_with_the_admin_pin(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={})

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="AUT")
        wrong = await service.hold(make, PIN, b"00000000", caller=ROOT)
        assert (wrong.code, wrong.verdict.error) == (Code.AUTH_ERR, ErrorName.PIN_WRONG)
        assert wrong.verdict.text.startswith("The admin PIN is wrong")
        assert "3 tries of the admin PIN" in told(wrong)[0]
        assert service.bindings.all() == ([], [])
        held = await service.hold(make, PIN, ADMIN_PIN, caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert "2 tries of the admin PIN" in told(held)[0]
        assert held.prompts[1] == f"Admin PIN of ukey {card.serial}: "
        assert card.tries_left() == 3
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_the_last_try_of_the_admin_pin_makes_no_pair(tmp_path: Path, insert: Insert) -> None:
    insert(pairs={}, admin_tries=1)

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="AUT")
        held = await service.hold(make, PIN, caller=ROOT)
        assert held.verdict.error is ErrorName.TRY_WITHHELD
        assert "last try of the admin PIN" in held.verdict.text

    run(tmp_path, scene)


def test_a_pair_that_is_there_is_never_overwritten(tmp_path: Path, insert: Insert) -> None:
    card = insert()
    before = card.card.load().slots[AUTHENTICATION].key.public()

    async def scene(service: Service) -> None:
        held = await service.hold(bind(flags=Flag.GENERATE, container="AUT"), caller=ROOT)
        assert held.verdict.error is ErrorName.BAD_REQUEST
        elsewhere = bind(flags=Flag.GENERATE, container="SIG")
        held = await service.hold(elsewhere, PIN, ADMIN_PIN, caller=ROOT)
        assert "has the container AUT" in held.verdict.text

    run(tmp_path, scene)
    assert card.card.load().slots[AUTHENTICATION].key.public() == before


@pytest.mark.parametrize(("kind", "counts"), [("openpgp", True), ("piv", False), ("any", True)])
def test_a_reader_can_be_for_one_kind(
    tmp_path: Path, insert: Insert, kind: str, counts: bool
) -> None:
    card = insert(inserted=False)
    quirks = (QuirkRule(serial="1", values={}), QuirkRule(reader="Virtual*", values={"kind": kind}))

    async def scene(service: Service) -> None:
        card.insert()
        async with asyncio.timeout(15):
            while not cards(service.ukeys):
                await asyncio.sleep(MOMENT)
        await service.ukeys.settled(asyncio.get_running_loop().time() + 10)
        (reader,) = cards(service.ukeys)
        assert (reader.info is not None) is counts
        if counts:
            held = await service.hold(bind(), PIN, caller=ROOT)
            assert held.code is Code.SUCCESS, held.text
            assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene, readers=ReaderSettings(allow_virtual_readers=True, quirks=quirks))


@pytest.mark.parametrize("code", [False, True], ids=["admin-pin", "reset-code"])
def test_changing_and_unblocking_the_pin(tmp_path: Path, insert: Insert, code: bool) -> None:
    card = insert(reset_code=CODE)
    values = {"unblock_with": "reset-code"} if code else {}
    quirks = (QuirkRule(manufacturer="*", values=values),)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        change = Request(operations.CHANGE_PIN, "alice")
        assert (await service.hold(change, PIN, NEW, NEW, caller=LOCKER)).code is Code.SUCCESS
        assert (await service.login(NEW)).code is Code.SUCCESS
        unblock = Request(operations.UNBLOCK_PIN, "alice")
        right, other = (CODE, ADMIN_PIN) if code else (ADMIN_PIN, CODE)
        held = await service.hold(unblock, other, PIN, PIN, caller=ROOT)
        assert "admin PIN is wrong" in held.verdict.text
        assert "3 tries of the admin PIN" in told(held)[0]
        held = await service.hold(unblock, right, PIN, PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene, readers=ReaderSettings(allow_virtual_readers=True, quirks=quirks))
