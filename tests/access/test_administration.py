# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The questions, and who gets which answers."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.administration import Administration, Row
from keyservice.access.challenge import foreign_message
from keyservice.contract.names import Code
from keyservice.core.errors import (
    BadRequest,
    NotAllowed,
    NotEnrolled,
    StoreFailed,
    UnknownUser,
)
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.store.revocations import Revocation

from .conftest import Make
from .rig import LOCKER, PIN, ROOT, WRONG, Service, run


def administration(service: Service) -> Administration:
    return Administration(service.services, service.sessions, "1.2.3")


def by_reader(rows: list[Row]) -> dict[str, Row]:
    return {str(row["reader"])[-1]: row for row in rows}


def test_ukeys(tmp_path: Path, make: Make) -> None:
    mine, other = make(label="mine"), make(1, label="other")

    async def scene(service: Service) -> None:
        service.bind(mine)
        service.bind(other, "bob")
        assert (await service.login(WRONG)).code is Code.AUTH_ERR
        rows = by_reader(await administration(service).list_ukeys(ROOT))
        assert rows["0"] == {
            "reader": "Virtual PCD 00 00",
            "mine": False,
            "card": True,
            "refused": False,
            "virtual": True,
            "kind": "gmt0017",
            "serial": "SN0",
            "label": "mine",
            "manufacturer": "pam-ukey tests",
            "pause": 0,
            "left": 9,
            "maximum": 10,
            "user": "alice",
            "revoked": False,
            "algorithm_refused": False,
            "account": "there",
        }
        assert rows["1"]["user"] == "bob"
        rows = by_reader(await administration(service).list_ukeys(LOCKER))
        assert rows["0"]["mine"] is True
        assert (rows["0"]["serial"], rows["0"]["left"]) == ("SN0", 9)
        assert rows["1"] == {"reader": "Virtual PCD 00 01", "mine": False}
        other.remove()
        rows = by_reader(await until(service, lambda rows: not by_reader(rows)["1"]["card"]))
        assert "serial" not in rows["1"]
        assert set(by_reader(await administration(service).list_ukeys(LOCKER))) == {"0"}

    run(tmp_path, scene)


async def until(service: Service, holds: Any) -> list[Row]:
    async with asyncio.timeout(10):
        while True:
            rows = await administration(service).list_ukeys(ROOT)
            if holds(rows):
                return rows
            await asyncio.sleep(0.05)


def test_bindings(tmp_path: Path, make: Make) -> None:
    mine, other = make(), make(1)

    async def scene(service: Service) -> None:
        binding = service.bind(mine)
        service.bind(other, "bob")
        (service.records.path / "carol").write_text("?")
        (row,) = await administration(service).list_bindings(LOCKER)
        assert (row["user"], row["serial"], row["revoked"]) == ("alice", "SN0", False)
        assert row["key"] == binding.fingerprint
        event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
        service.revocations.append(event)
        rows = await administration(service).list_bindings(ROOT)
        assert [row.get("user") for row in rows] == ["alice", "bob", None]
        assert [row.get("revoked") for row in rows] == [True, False, None]
        assert rows[2]["damaged"] is True
        assert str(rows[2]["path"]).endswith("/carol")

    run(tmp_path, scene)


def test_lists_tell_what_became_of_users(tmp_path: Path, make: Make) -> None:
    ukeys = [make(), make(1)]

    async def scene(service: Service) -> None:
        service.bind(ukeys[0])
        service.bind(ukeys[1], "bob")
        ask = administration(service)
        for people, told in (
            ({}, {"account": "gone"}),
            ({"alice": 4242}, {"account": "renumbered", "uid_now": 4242}),
            ({"carol": LOCKER.uid}, {"account": "taken", "user_now": "carol"}),
            ({"alice": LOCKER.uid}, {"account": "there"}),
        ):
            service.services.resolve = partial(by_name, people)
            service.services.resolve_uid = partial(by_uid, people)
            (row, _bob) = await ask.list_bindings(ROOT)
            assert told.items() <= row.items()
            assert by_reader(await ask.list_ukeys(ROOT))["0"].items() >= told.items()
        event = Revocation(str(row["key"]), True, "", 0, "alice", "SN0")
        service.revocations.append(event)
        rows = by_reader(await ask.list_ukeys(ROOT))
        assert [rows[number]["revoked"] for number in "01"] == [True, False]

    run(tmp_path, scene)


def test_what_became_of_somebody_is_told_of_their_ukey_alone(tmp_path: Path, make: Make) -> None:
    mine, other = make(), make(1)

    async def scene(service: Service) -> None:
        people = {"None": 4242, "alice": LOCKER.uid}
        service.services.resolve = partial(by_name, people)
        service.bind(mine)
        service.bind(other, user="None", uid=4242)
        rows = by_reader(await administration(service).list_ukeys(LOCKER))
        assert rows["0"]["account"] == "there"
        assert rows["1"] == {"reader": "Virtual PCD 00 01", "mine": False}

    run(tmp_path, scene)


def test_a_ukey_that_was_given_up_is_marked_though_it_is_nobodys(
    tmp_path: Path, make: Make
) -> None:
    make()

    async def scene(service: Service) -> None:
        ask = administration(service)
        assert "revoked" not in by_reader(await ask.list_ukeys(ROOT))["0"]
        service.revocations.append(Revocation("0" * 64, True, "", 0, "alice", "SN0"))
        assert by_reader(await ask.list_ukeys(ROOT))["0"]["revoked"] is True

    run(tmp_path, scene)


def by_name(people: dict[str, int], name: str) -> Person:
    if name not in people:
        raise UnknownUser(user=name)
    return Person(name, people[name])


def by_uid(people: dict[str, int], uid: int) -> Person:
    for name, number in people.items():
        if number == uid:
            return Person(name, number)
    raise UnknownUser(uid=uid)


def test_a_folder_that_is_gone_is_told_and_hides_nothing_else(tmp_path: Path, make: Make) -> None:
    make()

    async def scene(service: Service) -> None:
        ask, folder = administration(service), service.records.path
        folder.rename(folder.with_name("elsewhere"))
        row = await ask.status(ROOT)
        assert (row["damaged_records"], row["damaged_path"]) == (1, str(folder))
        assert row["why"] == "ENOENT"
        assert (row["readers"], row["sessions"], row["revocations"]) == (2, 0, 0)
        assert "bindings" not in row
        assert by_reader(await ask.list_ukeys(ROOT))["0"]["serial"] == "SN0"
        (row,) = await ask.list_bindings(ROOT)
        assert (row["damaged"], row["path"], row["why"]) == (True, str(folder), "ENOENT")
        with pytest.raises(StoreFailed):  # they are not told that they have none
            await ask.list_bindings(LOCKER)
        folder.mkdir(0o755)
        assert (await ask.status(ROOT))["why"] == "folder"

    run(tmp_path, scene)


def test_status(tmp_path: Path, make: Make) -> None:
    make()

    async def scene(service: Service) -> None:
        row = await administration(service).status(ROOT)
        assert row == {
            "version": "1.2.3",
            "sm2_engine": "openssl",
            "allow_virtual_readers": True,
            "shared_pcsc": False,
            "readers": 2,
            "pcscd": True,
            "bindings": 0,
            "refused_bindings": 0,
            "damaged_records": 0,
            "revocations": 0,
            "sessions": 0,
        }
        told = await administration(service).status(LOCKER)
        assert told.keys() & {"bindings", "damaged_records", "revocations", "sessions"} == set()

    run(tmp_path, scene)


def test_a_foreign_challenge(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        key = ukey.file.load().applications[0].containers[0].key
        assert key is not None
        challenge = bytes(range(40))
        signature = key.sign(algorithms.to_sign(binding.key, foreign_message(challenge)))
        verify = administration(service).verify_challenge
        assert await verify(ROOT, "alice", challenge, signature)
        assert not await verify(ROOT, "alice", challenge[:-1] + b"x", signature)
        assert not await verify(ROOT, "alice", challenge, signature[:-1])
        bare = key.sign(algorithms.to_sign(binding.key, challenge))
        assert not await verify(ROOT, "alice", challenge, bare)  # not under the prefix
        with pytest.raises(BadRequest):
            await verify(ROOT, "alice", bytes(31), signature)
        with pytest.raises(NotEnrolled):
            await verify(ROOT, "bob", challenge, signature)
        with pytest.raises(UnknownUser):
            await verify(ROOT, "mallory", challenge, signature)
        with pytest.raises(NotAllowed):
            await verify(LOCKER, "alice", challenge, signature)
        event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
        service.revocations.append(event)
        assert not await verify(ROOT, "alice", challenge, signature)
        verdicts = [line.split("verdict=")[1] for line in service.lines() if "verify-" in line]
        assert verdicts == ["right", "wrong", "wrong", "wrong", "revoked"]

    run(tmp_path, scene)


def test_taking_back_a_revocation(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        key = service.bind(ukey).fingerprint
        service.revocations.append(Revocation(key, True, "then", 0, "alice", "SN0"))
        ask = administration(service)
        (row,) = await ask.list_revocations(ROOT)
        assert row == {"key": key, "user": "alice", "serial": "SN0", "at": "then", "by": 0}
        for bad in ("", "xyz", key[:-1], "0" * 64):
            with pytest.raises(BadRequest):
                await ask.unrevoke(ROOT, bad)
        await ask.unrevoke(ROOT, key.upper())
        assert await ask.list_revocations(ROOT) == []
        assert (await service.login(PIN)).code is Code.SUCCESS
        (line, _) = service.lines()
        assert "event=unrevoke" in line
        assert f"key={key} verdict=done" in line
        assert "loginuid=1000" in line

    run(tmp_path, scene)


def test_ending_a_pause(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(3):
            await service.login(WRONG)
        (row, _) = await administration(service).list_ukeys(ROOT)
        assert row["pause"] == 60
        with pytest.raises(BadRequest, match="No ukey with that serial"):
            await administration(service).reset_throttle(ROOT, "SN9")
        await administration(service).reset_throttle(ROOT, "SN0")
        await administration(service).reset_throttle(ROOT, "SN0")  # no pause is no error
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert "event=reset-throttle" in service.lines()[-2]

    run(tmp_path, scene)


def test_what_is_roots(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        ask = administration(service)
        for question in (
            ask.list_revocations(LOCKER),
            ask.unrevoke(LOCKER, "0" * 64),
            ask.reset_throttle(LOCKER, "SN0"),
        ):
            with pytest.raises(NotAllowed):
                await question
        assert await ask.list_ukeys(LOCKER) == []
        assert await ask.list_bindings(LOCKER) == []

    run(tmp_path, scene)


def test_many_questions_at_once_are_one_look_at_the_records(tmp_path: Path) -> None:
    """A user who asks without end would take the threads that logins need."""
    began, go_on = threading.Semaphore(0), threading.Event()

    async def scene(service: Service) -> None:
        bindings, looks = service.bindings, list[None]()
        whole = bindings.all

        def look() -> Any:
            looks.append(None)
            began.release()
            assert go_on.wait(10)
            return whole()

        bindings.all = look  # type: ignore[method-assign]
        asked = administration(service)
        first = asyncio.create_task(asked.list_bindings(LOCKER))
        assert await asyncio.to_thread(began.acquire, timeout=10)
        others = [asyncio.create_task(asked.list_ukeys(LOCKER)) for _ in range(500)]
        await asyncio.sleep(0)
        others[0].cancel()
        go_on.set()
        await asyncio.gather(first, *others[1:])
        assert len(looks) == 2  # one more for all callers that asked during the first

    run(tmp_path, scene)
