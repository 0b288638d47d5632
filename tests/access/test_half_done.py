# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is told where the records keep somebody out: which half was done, whose record or file it
is, and a remedy that can be carried out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyservice.access import lookups
from keyservice.access.administration import Administration
from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.errors import RecordDamaged, RecordsUnclear
from tests.support.process import must
from tests.support.ukeys import Softkey

from .disk import Disk
from .rig import LOCKER, PEOPLE, PIN, ROOT, Service, run


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    must(["mount", "--bind", str(folder), str(folder)])
    must(["mount", "-o", "remount,bind,ro", str(folder)])
    try:
        yield
    finally:
        must(["umount", str(folder)])


def force(user: str = "alice", lang: str = "") -> Request:
    return Request(operations.UNBIND, user, service="rmpubkey", flags=Flag.FORCE, lang=lang)


@pytest.mark.parametrize("damaged", [False, True], ids=["record", "damaged record"])
def test_unbinding_by_force_says_which_half_was_done(
    tmp_path: Path, ukey: Softkey, damaged: bool
) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        records = service.records.path
        if damaged:
            (records / "alice").write_text("?")
        with read_only(service.state.path):
            held = await service.hold(force(), caller=ROOT)
        assert held.verdict.error is ErrorName.STORE_FAILED
        assert "could not be revoked, so alice still has it: " in held.verdict.text
        assert "Nothing was changed." in held.verdict.text
        assert service.revocations.all() == []
        with read_only(records):
            held = await service.hold(force(), caller=ROOT)
            if not damaged:
                again = await service.hold(force(lang="zh_CN.UTF-8"), caller=ROOT)
                assert "已在本机吊销" in again.verdict.text
        assert held.verdict.error is ErrorName.STORE_FAILED
        assert "The key of ukey SN0 is revoked on this host" in held.verdict.text
        assert f"record of alice could not be removed: {records}/alice: " in held.verdict.text
        assert "Read-only file system" in held.verdict.text
        assert service.revocations.find(binding.fingerprint) is not None
        assert (records / "alice").exists()
        held = await service.hold(force(), caller=ROOT)  # what it says can be done
        assert held.code is Code.SUCCESS
        assert not (records / "alice").exists()

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("fsync", "has not written the change in time, and may still write it"),
        (
            "unlink",
            "record of alice is not removed yet, and may still be: the disk does not answer.",
        ),
    ],
    ids=["revoking", "removing"],
)
def test_what_may_still_be_done_is_not_called_undone(
    tmp_path: Path,
    ukey: Softkey,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    told: str,
) -> None:
    monkeypatch.setattr(lookups, "STORE_SECONDS", 0.3)

    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        disk.hang(call)
        held = await service.hold(force(), caller=ROOT)
        assert disk.hung.is_set()
        assert told in held.verdict.text
        assert "Nothing was changed" not in held.verdict.text
        service.lines()
        disk.release()
        line = (await service.next_lines())[-1]
        assert 'reason="written after the deadline"' in line
        assert service.revocations.find(binding.fingerprint) is not None
        assert (not service.bindings.named("alice")) is (call == "unlink")

    run(tmp_path, scene)


def test_two_accounts_with_one_uid_are_told_as_that(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEOPLE, "toor", 1000)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(Request(operations.BIND, "toor"), caller=ROOT)
        assert held.verdict.error is ErrorName.RECORD_DAMAGED
        assert "toor and alice are two accounts with one uid (1000)" in held.verdict.text
        assert "rmpubkey" not in held.verdict.text
        login = await service.login(user="toor", flags=Flag.NOUSEROK)
        assert login.code not in (Code.SUCCESS, Code.IGNORE)
        assert "has the uid of alice" in login.verdict.text
        monkeypatch.delitem(PEOPLE, "alice")
        held = await service.hold(Request(operations.BIND, "toor"), caller=ROOT)
        assert "rmpubkey alice" in held.verdict.text

    run(tmp_path, scene)


def test_another_s_file_is_named_and_is_not_called_one_s_own(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        path = service.records.path / "carol"
        path.write_text("?")
        path.chmod(0o600)
        held = await service.hold(Request(operations.BIND, "bob"), caller=ROOT)
        assert f"a file that is not bob's record: {path}: " in held.verdict.text
        login = await service.login(user="bob", flags=Flag.NOUSEROK)
        assert login.code not in (Code.SUCCESS, Code.IGNORE)
        assert "a file among the records cannot be trusted" in login.verdict.text
        assert any(str(path) in line for line in service.lines())
        carol = await service.login(user="carol")
        assert "The record of your ukey" in carol.verdict.text
        path.rename(path.with_name("carol~"))  # nobody's any more
        assert (await service.login(user="bob", flags=Flag.NOUSEROK)).code is Code.IGNORE
        rows = await Administration(service.services, service.sessions, "1").list_bindings(ROOT)
        assert rows == [{"stray": True, "path": f"{path}~", "why": "stray"}]
        held = await service.hold(Request(operations.BIND, "bob"), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_people_with_a_damaged_record_are_not_told_that_they_have_none(
    tmp_path: Path, ukey: Softkey
) -> None:
    """Of another person's damaged record they learn no more than that nobody can tell."""

    async def scene(service: Service) -> None:
        asked = Administration(service.services, service.sessions, "1")
        assert await asked.list_bindings(LOCKER) == []
        for name in ("alice", "carol"):
            path = service.records.path / name
            path.write_text("?")
            path.chmod(0o600)
            with pytest.raises(RecordDamaged) as damage:
                await asked.list_bindings(LOCKER)
            assert "carol" not in str(damage.value)
            assert isinstance(damage.value, RecordsUnclear) is (name == "carol")
            path.unlink()
        service.bind(ukey)
        (row,) = await asked.list_bindings(LOCKER)
        assert row["user"] == "alice"

    run(tmp_path, scene)
