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
from .memory import MemoryRecords

ALICE, BOB, CAROL = Person("alice", 1000), Person("bob", 1001), Person("carol", 1002)
HERS, HIS = binding(), binding("bob", 1001, "SN2", 2)
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
