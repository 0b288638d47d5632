# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Lost records and histories let nobody in: neither by a ukey that was revoked, nor by
``nouserok``."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import administration as module
from keyservice.access.administration import Administration
from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.errors import AlreadyBound, BadRequest, LookUpLate, NotAllowed
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import LOCKER, PEOPLE, PIN, ROOT, Held, Service, refused, run


def administration(service: Service) -> Administration:
    return Administration(service.services, service.sessions, "1.2.3")


def unbind(user: str = "alice", **fields: Any) -> Request:
    return Request(operations.UNBIND, user, service="rmpubkey", **fields)


async def passes(service: Service, user: str = "alice") -> Held:
    return await service.login(user=user, flags=Flag.NOUSEROK)


# -- who had a ukey


@pytest.mark.parametrize("force", [False, True])
def test_who_had_a_ukey_does_not_pass_as_one_who_never_had(
    tmp_path: Path, ukey: Softkey, force: bool
) -> None:
    async def scene(service: Service) -> None:
        assert (await passes(service)).code is Code.IGNORE
        service.bind(ukey)
        if force:
            held = await service.hold(unbind(flags=Flag.FORCE), caller=ROOT)
        else:
            held = await service.hold(unbind(), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        refused(await passes(service), Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=False)
        assert "had a ukey" in service.lines()[-1]
        assert (await passes(service, "bob")).code is Code.IGNORE

    run(tmp_path, scene)
    run(tmp_path, after_a_restart)


async def after_a_restart(service: Service) -> None:
    refused(await passes(service), Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=False)


def test_a_name_or_number_that_somebody_had_before_does_not_pass(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(service: Service) -> None:
        service.bindings.remove(service.bind(ukey))
        for name, uid in (("alice", 2000), ("erin", 1000)):
            monkeypatch.setitem(PEOPLE, name, uid)
            if name != "alice":
                monkeypatch.delitem(PEOPLE, "alice")
            assert (await passes(service, name)).code is Code.USER_UNKNOWN

    run(tmp_path, scene)


def test_to_forget_is_roots_alone_and_audited(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        ask, binding = administration(service), service.bind(ukey)
        with pytest.raises(NotAllowed):
            await ask.forget(LOCKER, "alice")
        with pytest.raises(AlreadyBound):
            await ask.forget(ROOT, "alice")
        with pytest.raises(BadRequest):
            await ask.forget(ROOT, "bob")
        service.bindings.remove(binding)
        service.lines()
        (row,) = await ask.forget(ROOT, "alice")
        assert (row["user"], row["uid"], row["serial"]) == ("alice", 1000, "SN0")
        (line,) = service.lines()
        assert "event=forget" in line
        assert "user=alice uid=1000 serial=SN0 verdict=done" in line
        assert (await passes(service)).code is Code.IGNORE
        with pytest.raises(BadRequest):
            await ask.forget(ROOT, "alice")

    run(tmp_path, scene)


def test_who_is_gone_from_the_host_can_be_forgotten(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        bindings, binding = service.bindings, service.bind(ukey)
        bindings.remove(binding)
        bindings.add(leaver := replace(binding, user="leaver", uid=4242))
        bindings.remove(leaver)
        (row,) = await administration(service).forget(ROOT, "leaver")
        assert (row["user"], row["uid"]) == ("leaver", 4242)
        assert (await passes(service)).code is Code.USER_UNKNOWN

    run(tmp_path, scene)


# -- what is lost


def end_of_a_revocation(service: Service) -> None:
    path = service.state.path / "revoked"
    path.write_bytes(path.read_bytes()[:-1])


def revocations(service: Service) -> None:
    (service.state.path / "revoked").unlink()


def histories(service: Service) -> None:
    shutil.rmtree(service.state.path)
    service.state.path.mkdir(0o700)


def people(service: Service) -> None:
    (service.state.path / "people").unlink()


def record(service: Service) -> None:
    (service.records.path / "bob").unlink()


def records(service: Service) -> None:
    shutil.rmtree(service.records.path)
    service.records.path.mkdir(0o700)


LOST: dict[Callable[[Service], None], set[str]] = {
    # what is lost: which people with a ukey still get in
    end_of_a_revocation: set(),
    revocations: set(),
    histories: set(),
    people: {"alice", "bob"},
    record: {"alice"},
    records: set(),
}


@pytest.mark.parametrize("lose", LOST)
def test_lost_state_lets_nobody_in_who_was_kept_out(
    tmp_path: Path, make: Make, lose: Callable[[Service], None]
) -> None:
    ukeys = {"alice": make(), "bob": make(1)}

    async def looked_at(service: Service) -> None:
        for user in ukeys:
            answers = (PIN,) if user in LOST[lose] else ()
            held = await service.login(*answers, user=user, flags=Flag.NOUSEROK)
            expected = Code.SUCCESS if answers else Code.AUTHINFO_UNAVAIL
            assert held.code is expected, user
        for user in ("carol", "dave"):  # carol had one, dave never did
            assert (await passes(service, user)).code is Code.AUTHINFO_UNAVAIL
        status = await administration(service).status(ROOT)
        rows = await administration(service).list_bindings(ROOT)
        damaged = [row for row in rows if row.get("damaged")]
        assert status["damaged_records"] == len(damaged) >= 1
        assert all(row["path"] and row["why"] for row in damaged)

    async def scene(service: Service) -> None:
        for user, ukey in ukeys.items():
            service.bind(ukey, user)
        hers = service.bind(ukeys["alice"], "carol", serial="SN9", public_key="ab" * 64)
        held = await service.hold(unbind("carol", flags=Flag.FORCE), caller=ROOT)
        assert held.code is Code.SUCCESS
        assert service.revocations.find(hers.fingerprint) is not None
        lose(service)
        await looked_at(service)

    async def accepted(service: Service) -> None:
        await looked_at(service)
        service.lines()
        with pytest.raises(NotAllowed):
            await administration(service).accept_state(LOCKER)
        rows = await administration(service).accept_state(ROOT)
        lines = [line for line in service.lines() if "event=accept-state" in line]
        assert len(lines) == len(rows) >= 1
        assert (await passes(service, "dave")).code is Code.IGNORE
        for user in ukeys:
            answers = (PIN,) if (service.records.path / user).exists() else ()
            held = await service.login(*answers, user=user, flags=Flag.NOUSEROK)
            assert held.code is (Code.SUCCESS if answers else Code.USER_UNKNOWN), user

    run(tmp_path, scene)
    run(tmp_path, accepted)


@pytest.mark.parametrize("left", [None, b"?"])
def test_a_ukey_whose_record_is_gone_or_damaged_is_revoked_by_force(
    tmp_path: Path, ukey: Softkey, left: bytes | None
) -> None:
    async def scene(service: Service) -> None:
        key, path = service.bind(ukey).fingerprint, service.records.path / "alice"
        path.unlink()
        if left is not None:
            path.write_bytes(left)
        held = await service.hold(unbind(), caller=ROOT)
        assert held.verdict.error is ErrorName.RECORD_DAMAGED
        held = await service.hold(unbind(flags=Flag.FORCE), caller=ROOT)
        assert (held.code, held.verdict.detail["key"]) == (Code.SUCCESS, key)
        assert service.revocations.find(key) is not None
        assert service.kept.damage() == []
        assert (await passes(service)).code is Code.USER_UNKNOWN

    run(tmp_path, scene)


def after(event: threading.Event, function: Callable[..., Any], *given: Any) -> Any:
    assert event.wait(20)
    return function(*given)


def test_what_root_accepts_or_forgets_too_late_has_its_line(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.05)

    async def scene(service: Service) -> None:
        ask, state = administration(service), service.kept
        service.bindings.remove(service.bind(ukey))
        people(service)
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "accept-state": partial(ask.accept_state, ROOT),
            "forget": partial(ask.forget, ROOT, "alice"),
        }
        for name, change in changes.items():
            service.lines()
            held, function = threading.Event(), name.partition("-")[0]
            monkeypatch.setattr(state, function, partial(after, held, getattr(state, function)))
            with pytest.raises(LookUpLate):
                await change()
            assert service.lines() == []
            held.set()
            assert f"event={name} " in (await service.next_lines())[0]
            service.bindings.remove(service.bind(ukey))

    run(tmp_path, scene)
