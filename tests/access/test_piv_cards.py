# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PIV cards at the service: what is asked and told when one is bound, used, unblocked, and when it
waits for a finger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Error, Info, Wait
from keyservice.ukeys import handle
from keyservice.ukeys.settings import ReaderSettings
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.pivcards import PivcardHere
from tests.pivcard.state import CERTIFICATES

from .rig import (
    ADMIN_PIN,
    GETTY,
    IN_READERS,
    LOCKER,
    NEW,
    PIN,
    ROOT,
    SU,
    WRONG,
    Held,
    Service,
    login,
    run,
    uniform,
)

KEY = bytes(range(24))
Insert = Callable[..., PivcardHere]


@pytest.fixture
def insert(readers: Pcscd, tmp_path: Path) -> Iterator[Insert]:
    def insert(**make: Any) -> PivcardHere:
        given = {"pin": PIN, "admin_pin": ADMIN_PIN, "management_key": KEY, **make}
        card = PivcardHere(readers, tmp_path / "card", 0, inserted=True, **given)
        IN_READERS.append(card)
        return card

    yield insert
    while IN_READERS:
        IN_READERS.pop().close()


def bind(**fields: Any) -> Request:
    return Request(operations.BIND, "alice", **fields)


def told(held: Held) -> list[str]:
    return [step.text for step in held.steps if isinstance(step, Info)]


@pytest.mark.parametrize("algorithm", ["sm2", "p256", "rsa2048"])
@pytest.mark.parametrize("vendor", [True, False], ids=["vendor", "plain"])
def test_somebody_is_bound_and_logs_in(
    tmp_path: Path, insert: Insert, algorithm: str, vendor: bool
) -> None:
    more = {"management_key": KEY} if vendor else {"management_key": None}
    card = insert(pairs={"9A": algorithm}, vendor=vendor, **more)

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        (binding,), _ = service.bindings.all()
        assert (binding.kind, binding.application, binding.container) == ("piv", "piv", "9A")
        assert binding.serial == card.serial
        assert (await service.login(WRONG)).verdict.error is ErrorName.PIN_WRONG
        assert card.tries_left() == 2
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene)


def test_a_pin_has_six_to_eight_characters(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={"9A": "p256"})

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        for unfit in (b"12345", b"123456789"):
            held = await service.login(unfit)
            assert held.verdict.error is ErrorName.PIN_REFUSED
            assert "6 to 8 bytes" in held.verdict.text
        assert card.tries_left() == 3

    run(tmp_path, scene)


def test_with_three_tries_the_last_is_for_the_console(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={"9A": "p256"})

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        for caller in (LOCKER, SU):
            assert (await service.login(WRONG, caller=caller)).verdict.error is ErrorName.PIN_WRONG
        for caller in (LOCKER, SU):
            held = await service.login(caller=caller)
            assert held.verdict.error is ErrorName.TRY_WITHHELD
        assert card.tries_left() == 1
        assert (await service.login(PIN, caller=GETTY)).code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene)


# -- binding


@pytest.mark.parametrize("make", [{"pairs": {"9E": "p256"}}, {"pin_policy": 1}])
def test_a_key_that_signs_without_a_pin_is_refused(
    tmp_path: Path, insert: Insert, make: dict[str, Any]
) -> None:
    insert(**{"pairs": {"9A": "p256"}, **make})

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), caller=ROOT)
        assert held.verdict.error is ErrorName.BAD_REQUEST
        assert "signs without a PIN" in held.verdict.text
        assert service.bindings.all() == ([], [])

    run(tmp_path, scene)


def test_the_default_pin_is_refused(tmp_path: Path, insert: Insert) -> None:
    insert(pairs={"9A": "p256"}, pin=None)

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), caller=ROOT)
        assert held.verdict.error is ErrorName.DEFAULT_PIN

    run(tmp_path, scene)


def test_root_is_told_of_a_copy_and_of_what_cards_are_shipped_with(
    tmp_path: Path, insert: Insert
) -> None:
    insert(pairs={"9A": "p256"}, admin_pin=None, management_key=None, origin=2)

    async def scene(service: Service) -> None:
        held = await service.hold(bind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        copy, puk, key = told(held)
        assert "not made on the ukey" in copy
        assert "admin PIN (PUK) that it was shipped with" in puk
        assert "management key that it was shipped with" in key

    run(tmp_path, scene)


def test_nothing_is_told_of_a_card_in_order(tmp_path: Path, insert: Insert) -> None:
    insert(pairs={"9A": "p256"})

    async def scene(service: Service) -> None:
        assert told(await service.hold(bind(), PIN, caller=ROOT)) == []

    run(tmp_path, scene)


# -- a new pair


def test_a_pair_is_made_with_the_management_key(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={"9C": "p256"})

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="9A")
        for _ in range(4):  # no wrong PIN, so no pause
            wrong = await service.hold(make, PIN, b"default", caller=ROOT)
            assert "management key is wrong" in wrong.verdict.text
            assert (wrong.code, wrong.verdict.error) == (Code.AUTH_ERR, ErrorName.PIN_WRONG)
        assert service.bindings.all() == ([], [])
        held = await service.hold(make, PIN, KEY.hex().encode(), caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert held.prompts[1].startswith(f"Management key of ukey {card.serial}")
        assert card.tries_left() == 3
        assert KEY.hex() not in "".join(service.lines()) + held.text
        assert (await service.login(PIN)).code is Code.SUCCESS
        again = await service.hold(make, caller=ROOT)
        assert again.verdict.error is ErrorName.ALREADY_BOUND

    run(tmp_path, scene)


def test_a_pair_that_is_there_is_never_overwritten(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={"9A": "p256"})
    before = card.card.load().slots[0x9A].key.public()

    async def scene(service: Service) -> None:
        held = await service.hold(bind(flags=Flag.GENERATE, container="9A"), caller=ROOT)
        assert held.verdict.error is ErrorName.BAD_REQUEST
        elsewhere = bind(flags=Flag.GENERATE, container="9B")
        held = await service.hold(elsewhere, PIN, b"default", caller=ROOT)
        assert "containers 9A, 9C, 9D, 9E and 82 to 95" in held.verdict.text

    run(tmp_path, scene)
    assert card.card.load().slots[0x9A].key.public() == before


def test_a_card_that_shows_certificates_only_is_asked_for_no_pair(
    tmp_path: Path, insert: Insert
) -> None:
    """Nobody can tell whether a pair is there: nothing is typed for it, and none is overwritten."""
    card = insert(vendor=False, management_key=None, pairs={"9A": "p256"})
    hidden = card.card.load()
    del hidden.objects[CERTIFICATES[0x9A]]  # the pair of the slot shows itself no more
    card.remove()
    card.card.write(hidden)
    card.start()
    before = hidden.slots[0x9A].key.public()

    async def scene(service: Service) -> None:
        for container in ("9A", "9C"):
            make = bind(flags=Flag.GENERATE, container=container)
            held = await service.hold(make, caller=ROOT)
            assert held.verdict.error is ErrorName.BAD_REQUEST
            assert "nobody can tell whether the container is empty" in held.verdict.text
            assert held.prompts == []

    run(tmp_path, scene)
    assert card.card.load().slots[0x9A].key.public() == before


def test_what_is_said_of_an_empty_slot_is_not_kept_for_the_pair_made_there(
    tmp_path: Path, insert: Insert
) -> None:
    """The pair's use is asked for again: that the management key is the factory's is told then."""
    insert(pairs={}, management_key=None)

    async def scene(service: Service) -> None:
        make = bind(flags=Flag.GENERATE, container="9A")
        held = await service.hold(make, PIN, b"default", caller=ROOT)
        assert held.code is Code.SUCCESS, held.text
        assert any("management key that it was shipped with" in text for text in told(held))

    run(tmp_path, scene)


# -- changing and unblocking


@pytest.mark.parametrize("vendor", [True, False], ids=["vendor", "plain"])
def test_changing_and_unblocking_the_pin(tmp_path: Path, insert: Insert, vendor: bool) -> None:
    more = {} if vendor else {"management_key": None}
    card = insert(pairs={"9A": "p256"}, vendor=vendor, **more)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        change = Request(operations.CHANGE_PIN, "alice")
        assert (await service.hold(change, PIN, NEW, NEW, caller=LOCKER)).code is Code.SUCCESS
        assert (await service.login(NEW)).code is Code.SUCCESS
        unblock = Request(operations.UNBLOCK_PIN, "alice")
        held = await service.hold(unblock, b"87654321", PIN, PIN, caller=ROOT)
        assert "admin PIN is wrong" in held.verdict.text
        (first,) = told(held)
        assert ("3 tries of the admin PIN" in first) is vendor
        assert ("does not tell how many tries" in first) is not vendor
        held = await service.hold(unblock, ADMIN_PIN, PIN, PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert "2 tries of the admin PIN" in told(held)[0]
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert card.tries_left() == 3

    run(tmp_path, scene)


# -- a finger


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> ReaderSettings:
    """An operation has less time than the finger takes, and a finger has more than that."""
    monkeypatch.setattr(handle, "TOUCH_SECONDS", 8.0)
    return ReaderSettings(allow_virtual_readers=True, operation_deadline=2.0)


def test_a_touch_is_asked_for_and_waited_for(
    tmp_path: Path, insert: Insert, quick: ReaderSettings
) -> None:
    card = insert(pairs={"9A": "p256"}, touch_policy=2)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        card.control.misbehave(finger=3000)
        held = await service.login(PIN)
        assert held.code is Code.SUCCESS, held.text
        assert held.prompts == [f"PIN of ukey {card.serial}, then touch it when it blinks: "]
        waits = [step.text for step in held.steps if isinstance(step, Wait)]
        assert waits[0] == f"Touch ukey {card.serial} now: it blinks."

    run(tmp_path, scene, readers=quick)


def test_a_touch_that_does_not_come_is_said_and_costs_no_try(
    tmp_path: Path, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pivcard.use.TOUCH_SECONDS", 0.2)
    card = insert(pairs={"9A": "p256"}, touch_policy=3)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        card.control.misbehave(finger=-1)
        held = await service.login(PIN)
        assert (held.code, held.verdict.error) == (Code.AUTH_ERR, ErrorName.NOT_TOUCHED)
        assert "not touched in time" in held.verdict.text
        assert card.tries_left() == 3

    run(tmp_path, scene)


def test_uniform_shows_nothing_of_a_touch(tmp_path: Path, insert: Insert) -> None:
    insert(pairs={"9A": "p256"}, touch_policy=2)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        held = await service.hold(uniform(), PIN)
        assert held.code is Code.SUCCESS
        assert held.prompts == ["PIN of the ukey: "]
        assert not [step for step in held.steps if isinstance(step, Info | Error | Wait)]

    run(tmp_path, scene)


def test_where_no_text_arrives_the_prompt_says_it(tmp_path: Path, insert: Insert) -> None:
    card = insert(pairs={"9A": "p256"}, touch_policy=2)

    async def scene(service: Service) -> None:
        await service.hold(bind(), PIN, caller=ROOT)
        held = await service.hold(login(flags=Flag.SILENT), PIN)
        assert held.code is Code.SUCCESS
        assert held.prompts == [f"PIN of ukey {card.serial}, then touch it when it blinks: "]

    run(tmp_path, scene)
