# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What every store does, written against the type: files, and a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from keyservice.core.errors import AlreadyBound, NotEnrolled, RecordForeign
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.store.file_records import FileRecords
from keyservice.store.files import PrivateDirectory
from keyservice.store.people import Kind
from keyservice.store.records import Enrolment, Held, Purpose, Records
from keyservice.store.revocations import Revocation

from .conftest import binding, started
from .credentials import of_ssh, spare
from .memory import MemoryRecords

ALICE, BOB, CAROL = Person("alice", 1000), Person("bob", 1001), Person("carol", 1002)
HERS, HIS = binding(), binding("bob", 1001, "SN2", 2)
SPARE, SSH = spare(), of_ssh()
SOON = Budget(0, 10.0)
Play = Callable[[Callable[[Records], Awaitable[None]]], None]


@pytest.fixture(params=["files", "memory"])
def play(request: pytest.FixtureRequest, folder: PrivateDirectory) -> Play:
    """Plays a scene on a store of its own."""

    async def main(scene: Callable[[Records], Awaitable[None]]) -> None:
        records: Records = MemoryRecords()
        if request.param == "files":
            records = FileRecords(started(folder))
        await scene(records)

    return lambda scene: asyncio.run(main(scene))


def test_what_is_bound_is_found_until_it_is_unbound(play: Play) -> None:
    async def scene(records: Records) -> None:
        assert await records.enrolled(ALICE, SOON) is None
        assert await records.had(ALICE, SOON) is None
        await records.add(HERS, SOON)
        await records.add(HIS, SOON)
        enrolment = await records.enrolled(ALICE, SOON)
        assert enrolment == Enrolment((Held(HERS, revoked=False),))
        (held,) = enrolment.of(Purpose.LOGIN)
        assert await records.still(held, SOON) == held
        assert await records.named("alice", SOON) == (HERS,)
        kept = await records.inventory(SOON)
        assert (kept.bindings, kept.damaged, kept.revocations) == ([HERS, HIS], [], [])
        await records.remove(HERS, 7, SOON)
        assert await records.enrolled(ALICE, SOON) is None
        assert await records.still(held, SOON) is None
        had = await records.had(ALICE, SOON)
        assert had is not None
        assert (had.event, had.user, had.serial, had.by) == (Kind.UNBOUND, "alice", "SN1", 7)
        assert await records.lasts("alice", SOON) == [had]
        for gone in (records.named("alice", SOON), records.remove(HERS, 7, SOON)):
            with pytest.raises(NotEnrolled):
                await gone

    play(scene)


@pytest.mark.parametrize(
    "other",
    [binding(serial="SN3", key=3), binding("carol", 1002, key=3), binding("carol", 1002, "SN3")],
    ids=["the person", "the ukey", "the key"],
)
def test_one_person_one_ukey_one_key(play: Play, other: object) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        await records.add(HIS, SOON)
        with pytest.raises(AlreadyBound):
            await records.add(other, SOON)  # type: ignore[arg-type]
        assert (await records.inventory(SOON)).bindings == [HERS, HIS]

    play(scene)


def test_each_of_several_is_bound_and_unbound_by_itself(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        await records.add(SPARE, SOON, 2)
        await records.add(SSH, SOON)  # one of each purpose is one
        for each in (spare(3), of_ssh(5)):
            with pytest.raises(AlreadyBound):
                await records.add(each, SOON, 2 if each.purpose is Purpose.LOGIN else 1)
        enrolment = await records.enrolled(ALICE, SOON)
        assert enrolment is not None
        assert [each.binding for each in enrolment.held] == [HERS, SPARE, SSH]
        assert [each.binding for each in enrolment.of(Purpose.LOGIN)] == [HERS, SPARE]
        assert await records.named("alice", SOON) == (HERS, SPARE, SSH)
        assert [each.key for each in await records.lasts("alice", SOON)] == [
            each.fingerprint for each in (HERS, SPARE, SSH)
        ]
        await records.remove(HERS, 7, SOON)
        first, *others = enrolment.held
        assert await records.still(first, SOON) is None
        for held in others:
            assert await records.still(held, SOON) == held
        with pytest.raises(AlreadyBound):
            await records.forget("alice", 1000, 0, SOON)
        for each in (SPARE, SSH):
            await records.remove(each, 0, SOON)
        assert await records.enrolled(ALICE, SOON) is None

    play(scene)


def test_one_of_several_is_revoked_by_itself(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        await records.add(SPARE, SOON, 2)
        lost = Revocation(SPARE.fingerprint, True, "2026-01-02T03:04:05Z", 0, "alice", "PIV2")
        await records.revoke(lost, SOON)
        enrolment = await records.enrolled(ALICE, SOON)
        assert enrolment is not None
        assert [each.revoked for each in enrolment.of(Purpose.LOGIN)] == [False, True]

    play(scene)


def test_a_ukey_has_one_key_for_each_purpose_of_one_person(play: Play) -> None:
    """And a key has one owner and one purpose."""
    card = spare(4, purpose=Purpose.SSH, serial=SPARE.serial, container="9c", label="")

    async def scene(records: Records) -> None:
        await records.add(SPARE, SOON)
        await records.add(card, SOON)
        await records.add(SSH, SOON, 8)
        for bad in (
            replace(spare(5), serial=SPARE.serial),
            replace(HIS, serial=SPARE.serial),
            replace(spare(6), user="bob", uid=1001, serial=SPARE.serial, purpose=Purpose.SSH),
            replace(SPARE, serial="SN7", purpose=Purpose.SSH),
            replace(SSH, user="bob", uid=1001),
        ):
            with pytest.raises(AlreadyBound):
                await records.add(bad, SOON, 8)
        # keys from files have no serial, which is not one that they share
        await records.add(replace(of_ssh(7), user="bob", uid=1001), SOON)

    play(scene)


def test_of_several_people_s_all_are_bound_or_none(play: Play) -> None:
    limits = {Purpose.LOGIN: 2, Purpose.SSH: 8}
    carols = binding("carol", 1002, "SN3", 3)

    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        for bad in (replace(HIS, serial="SN1"), replace(carols, uid=1001), spare(3)):
            with pytest.raises((AlreadyBound, RecordForeign)):
                await records.add_all([SPARE, HIS, carols, bad], limits, SOON)
            assert (await records.inventory(SOON)).bindings == [HERS]
            assert await records.had(BOB, SOON) is None
        await records.add_all([SPARE, HIS, SSH, carols], limits, SOON)
        assert (await records.inventory(SOON)).bindings == [HERS, SPARE, SSH, HIS, carols]
        assert [each.event for each in await records.lasts("alice", SOON)] == [Kind.BOUND] * 3

    play(scene)


def test_nobody_has_more_than_eight_of_a_purpose(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(1, 9):
            await records.add(spare(number), SOON, 8)
            await records.add(of_ssh(20 + number), SOON, 8)
        for each in (spare(9), of_ssh(29)):
            with pytest.raises(AlreadyBound):
                await records.add(each, SOON, 100)

    play(scene)


@pytest.mark.parametrize("person", [Person("renamed", 1000), Person("alice", 2000)])
def test_a_name_or_a_uid_alone_is_nobody(play: Play, person: Person) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        with pytest.raises(RecordForeign):
            await records.enrolled(person, SOON)
        with pytest.raises(RecordForeign):
            await records.add(replace(HIS, user=person.name, uid=person.uid), SOON)

    play(scene)


def test_a_revocation_is_in_force_until_it_is_taken_back(play: Play) -> None:
    revoked = Revocation(HERS.fingerprint, True, "2026-01-02T03:04:05Z", 0, "alice", "SN1")

    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        assert await records.revocation(revoked.key, SOON) is None
        await records.revoke(revoked, SOON)
        assert await records.revocation(revoked.key, SOON) == revoked
        assert await records.revocations(SOON) == [revoked]
        assert (await records.inventory(SOON)).revocations == [revoked]
        assert await records.enrolled(ALICE, SOON) == Enrolment((Held(HERS, revoked=True),))
        await records.revoke(replace(revoked, revoked=False), SOON)
        assert await records.revocations(SOON) == []
        assert await records.enrolled(ALICE, SOON) == Enrolment((Held(HERS, revoked=False),))

    play(scene)


def test_only_those_who_have_none_are_forgotten(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        with pytest.raises(AlreadyBound):
            await records.forget("alice", 1000, 0, SOON)
        await records.remove(HERS, 0, SOON)
        (event,) = await records.forget("alice", 1000, 0, SOON)
        assert (event.user, event.serial) == ("alice", "SN1")
        assert await records.had(ALICE, SOON) is None
        assert await records.forget("alice", 1000, 0, SOON) == []

    play(scene)


def test_an_ssh_key_is_no_ukey_and_hides_none_that_they_had_before(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.add(SSH, SOON)
        assert await records.had(ALICE, SOON) is not None
        assert await records.had(ALICE, SOON, [SSH.fingerprint]) is None
        await records.remove(SSH, 0, SOON)
        await records.add(HERS, SOON)
        await records.remove(HERS, 0, SOON)
        await records.add(SSH, SOON)
        had = await records.had(ALICE, SOON, [SSH.fingerprint])
        assert had is not None
        assert (had.event, had.serial) == (Kind.UNBOUND, "SN1")

    play(scene)


def test_what_is_discarded_is_known_to_have_been_there(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.add(HERS, SOON)
        await records.discard("alice", 0, SOON)
        assert await records.enrolled(ALICE, SOON) is None
        assert await records.had(ALICE, SOON) is not None
        assert await records.accept(0, SOON) == []
        assert await records.enrolled(CAROL, SOON) is None

    play(scene)


def test_changes_at_once_are_all_kept_and_exclude_each_other(play: Play) -> None:
    async def scene(records: Records) -> None:
        many = [binding(f"user{n}", 3000 + n, f"SN{n}", n) for n in range(1, 13)]
        same = [replace(each, user="other", uid=4000) for each in many[:2]]
        adding = (records.add(each, SOON) for each in (*many, *same))
        outcomes = await asyncio.gather(*adding, return_exceptions=True)
        assert outcomes[:12] == [None] * 12
        assert {type(each) for each in outcomes[12:]} == {AlreadyBound}
        assert len((await records.inventory(SOON)).bindings) == 12

    play(scene)
