# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A disk that is late or full: root's changes have their line in the log, whenever they end."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import administration as access_administration
from keyservice.access import lookups
from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import ErrorName
from keyservice.core import threads
from keyservice.core.errors import ChangeLate, StoreFailed
from keyservice.core.threads import Budget
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from tests.support.ukeys import Softkey

from .rig import PIN, ROOT, Service, run


def administration(service: Service) -> access_administration.Administration:
    return access_administration.Administration(service.services, service.sessions, "1.2.3")


@pytest.mark.parametrize("hangs_up", [False, True])
def test_an_unrevoke_that_is_late_has_its_lines(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch, hangs_up: bool
) -> None:
    """It is done all the same, once the disk comes back, even if nobody waits for it."""
    begun, go_on = threading.Event(), threading.Event()

    async def scene(service: Service) -> None:
        key = service.bind(ukey).fingerprint
        revocations = service.revocations
        revocations.append(Revocation(key, True, "then", 0, "alice", "SN0"))
        whole = revocations.append

        def slow(event: Revocation) -> None:
            begun.set()
            assert go_on.wait(10)
            whole(event)

        monkeypatch.setattr(revocations, "append", slow)
        monkeypatch.setattr(access_administration, "DEADLINE", 10.0 if hangs_up else 0.2)
        asked = asyncio.create_task(administration(service).unrevoke(ROOT, key))
        assert await asyncio.to_thread(begun.wait, 10)
        if hangs_up:
            asked.cancel()
        with pytest.raises(asyncio.CancelledError if hangs_up else ChangeLate):
            await asked
        told = [line.rpartition(" ")[2] for line in service.lines()]
        assert told == ([] if hangs_up else ["verdict=ChangeLate"])
        assert revocations.find(key) is not None
        go_on.set()
        (line,) = await service.next_lines()
        assert "event=unrevoke caller=0 " in line
        assert f"user=alice serial=SN0 key={key} verdict=done-late" in line
        assert revocations.find(key) is None

    run(tmp_path, scene)


def test_an_unrevoke_that_fails_has_its_line(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(service: Service) -> None:
        key = service.bind(ukey).fingerprint
        revocations = service.revocations
        revocations.append(Revocation(key, True, "then", 0, "alice", "SN0"))

        def full(event: Revocation) -> None:
            raise StoreFailed("Cannot append to a record")

        monkeypatch.setattr(revocations, "append", full)
        with pytest.raises(StoreFailed):
            await administration(service).unrevoke(ROOT, key)
        (line,) = service.lines()
        assert line.endswith("verdict=StoreFailed")

    run(tmp_path, scene)


def test_what_is_written_late_has_a_line_of_its_own(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line says that it failed: nobody knew better then."""
    go_on = threading.Event()
    monkeypatch.setattr(lookups, "STORE_SECONDS", 0.05)

    async def scene(service: Service) -> None:
        bindings = service.bindings
        whole = bindings.add

        def slow(binding: Binding, *, limit: int) -> None:
            assert go_on.wait(10)
            whole(binding, limit=limit)

        monkeypatch.setattr(bindings, "add", slow)
        held = await service.hold(Request(operations.BIND, "alice"), PIN, caller=ROOT)
        assert held.verdict.error is ErrorName.DEADLINE_PASSED
        (line,) = service.lines()
        assert "event=bind user=alice" in line
        assert "verdict=AUTHINFO_UNAVAIL" in line
        go_on.set()
        (line,) = await service.next_lines()
        assert "event=bind user=alice" in line
        assert (
            'serial=SN0 ssh_key=- key=- flags=- verdict=SUCCESS reason="written after the deadline"'
            in line
        )
        assert bindings.named("alice") != ()

    run(tmp_path, scene)


def test_a_write_that_ends_just_as_nobody_waits_any_more_is_late(tmp_path: Path) -> None:
    ended = list[BaseException | None]()

    async def play() -> None:
        begun, go_on = threading.Event(), threading.Event()

        def write() -> None:
            begun.set()
            assert go_on.wait(10)

        writing = asyncio.create_task(threads.call(Budget(0, 10, ended.append), write))
        assert await asyncio.to_thread(begun.wait, 10)
        loop = asyncio.get_running_loop()
        tell = loop.call_soon_threadsafe

        def tell_and_cancel(callback: Any, *told: Any) -> Any:
            def both() -> None:  # in one turn of the loop, however busy the machine is
                callback(*told)
                writing.cancel()

            return tell(both)

        loop.call_soon_threadsafe = tell_and_cancel  # type: ignore[method-assign,assignment]
        try:
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
        finally:
            loop.call_soon_threadsafe = tell  # type: ignore[method-assign]
        assert ended == [None]

    asyncio.run(play())
