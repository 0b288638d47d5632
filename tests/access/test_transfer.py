# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Bindings from one host to the next: looked at first, all or none, and root's alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.administration import Administration
from keyservice.access.settings import Rules
from keyservice.contract.names import Code
from keyservice.core.errors import BadRequest, NotAllowed, RecordDamaged
from keyservice.core.reasons import Reason
from keyservice.core.username import Person
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from tests.store.credentials import of_ssh, spare
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import LOCKER, PIN, ROOT, Service, run


def administration(service: Service) -> Administration:
    return Administration(service.services, service.sessions, "1")


def text(*records: dict[str, Any], **more: object) -> str:
    return json.dumps({"format": "ukey-bindings", "version": 1, "records": records, **more})


def moved(document: str, change: Callable[[dict[str, Any]], object]) -> str:
    """`document` with its first record changed."""
    found = json.loads(document)
    change(found["records"][0])
    return json.dumps(found)


def revoked(binding: Binding) -> Revocation:
    return Revocation(binding.fingerprint, True, "2026-01-02T03:04:05Z", 0, binding.user, "SN0")


async def exported(service: Service) -> str:
    document, left = await administration(service).export_bindings(ROOT)
    assert left == []
    for each in service.bindings.all()[0]:
        service.bindings.remove(each)
    service.lines()
    return document


def test_a_document_binds_on_the_next_host_what_was_bound_on_this_one(
    tmp_path: Path, make: Make
) -> None:
    async def scene(service: Service) -> None:
        hers, his = service.bind(make(0)), service.bind(make(1), "bob")
        service.bindings.add(of_ssh())
        document = await exported(service)
        assert document.isascii()
        assert len(document.splitlines()) == 4, "a head, a record on each line, an end"
        # the numbers are the next host's; what its makers have not vouched for is not vouched for
        document = moved(document, lambda record: record.update(uid=5000))
        ask = administration(service)
        rows = await ask.check_import(ROOT, document)
        assert [(row["user"], row["uid"], row["state"]) for row in rows] == [
            ("alice", 1000, "new"),
            ("alice", 1000, "new"),
            ("bob", 1001, "new"),
        ]
        assert rows[0]["uid_there"] == 5000
        assert service.bindings.all() == ([], []), "a look changes nothing"
        assert service.lines() == []
        assert await ask.import_bindings(ROOT, document) == rows
        found, damaged = service.bindings.all()
        assert damaged == []
        assert [(each.user, each.fingerprint, each.bound_by) for each in found] == [
            ("alice", hers.fingerprint, 1000),
            ("alice", of_ssh().fingerprint, 1000),
            ("bob", his.fingerprint, 1000),
        ]
        assert len(service.lines()) == 3, "a line of the audit log for each key"
        assert (await service.login(PIN)).code is Code.SUCCESS
        again = await ask.import_bindings(ROOT, document)
        assert {row["state"] for row in again} == {"there"}
        assert service.bindings.all()[0] == found

    run(tmp_path, scene)


def test_a_revoked_key_stays_behind_and_damage_is_not_passed_over(
    tmp_path: Path, make: Make
) -> None:
    async def scene(service: Service) -> None:
        ask = administration(service)
        service.bind(make(0))
        his = service.bind(make(1), "bob")
        service.revocations.append(revoked(his))
        document, left = await ask.export_bindings(ROOT)
        assert [row["user"] for row in left] == ["bob"]
        assert his.public_key not in document
        (service.records.path / "carol").write_bytes(b"?")
        (service.records.path / "carol").chmod(0o600)
        for asked in (ask.export_bindings(ROOT), ask.import_bindings(ROOT, document)):
            with pytest.raises(RecordDamaged):
                await asked

    run(tmp_path, scene)


def test_one_key_that_is_refused_keeps_all_out_with_a_reason_for_each(
    tmp_path: Path, make: Make
) -> None:
    async def scene(service: Service) -> None:
        hers = service.bind(make(0))
        service.bind(make(1), "bob")
        document = await exported(service)
        ask = administration(service)

        async def refused(text: str, why: str, **facts: object) -> None:
            before = service.bindings.all()
            rows = await ask.check_import(ROOT, text)
            (row,) = [row for row in rows if row["state"] == "refused"]
            assert row["why"] == why
            assert {name: row[name] for name in facts} == facts
            with pytest.raises(BadRequest) as caught:
                await ask.import_bindings(ROOT, text)
            assert caught.value.reason is Reason.IMPORT_REFUSED
            assert service.bindings.all() == before

        await refused(moved(document, lambda r: r.update(user="leaver")), "not-here")
        dup = json.loads(document)
        dup["records"][1].update(serial=hers.serial)
        await refused(json.dumps(dup), "taken-by", other="alice")
        service.bindings.add(spare(5, label=""))
        await refused(document, "no-room", limit=1)
        service.bindings.remove(spare(5, label=""))
        service.bindings.add(spare(5, label="", user="alice", uid=999))
        await refused(document, "foreign", other="alice")
        service.bindings.remove(spare(5, label="", user="alice", uid=999))
        service.bindings.add(spare(6, label="", user="carol", uid=1002, serial=hers.serial))
        await refused(document, "taken-by", other="carol")
        service.revocations.append(revoked(hers))
        service.bindings.remove(service.bindings.own(Person("carol", 1002))[0])
        await refused(document, "key-revoked")

    run(tmp_path, scene)


def test_spare_ukeys_come_along_as_far_as_the_next_host_has_them(
    tmp_path: Path, make: Make
) -> None:
    two = Rules(allow_virtual_readers=True, wait_for_ukey=0, ukeys_per_person=2)

    async def scene(service: Service) -> None:
        service.bind(make(0))
        service.bindings.add(spare(5), limit=2)
        document = await exported(service)
        ask = administration(service)
        rows = await ask.import_bindings(ROOT, document)
        assert [row["state"] for row in rows] == ["new", "new"]
        assert [each.label for each in service.bindings.all()[0]] == ["", "spare"]
        for each in service.bindings.all()[0]:
            service.bindings.remove(each)
        service.services.rules = replace(two, ukeys_per_person=1)
        rows = await ask.check_import(ROOT, document)
        assert [(row["state"], row.get("limit")) for row in rows] == [("new", None), ("refused", 1)]

    run(tmp_path, scene, two)


def test_a_key_that_would_let_nobody_in_is_refused(tmp_path: Path, make: Make) -> None:
    usual = Rules(allow_virtual_readers=True, wait_for_ukey=0)

    async def scene(service: Service) -> None:
        service.bind(make(0))
        service.bindings.add(of_ssh())
        document = await exported(service)
        ask = administration(service)
        for change, reasons in (
            ({"algorithms": frozenset({"sm2"})}, [None, "not-accepted"]),
            ({"algorithms": frozenset({"ed25519"})}, ["not-accepted", None]),
            ({"attested": True}, ["attest-record", None]),
        ):
            service.services.rules = replace(usual, **change)
            rows = await ask.check_import(ROOT, document)
            assert [row.get("why") for row in rows] == reasons
            with pytest.raises(BadRequest):
                await ask.import_bindings(ROOT, document)
        service.services.rules = usual
        await ask.import_bindings(ROOT, document)
        service.services.rules = replace(usual, attested=True)
        rows = await ask.check_import(ROOT, document)
        assert {row["state"] for row in rows} == {"there"}

    run(tmp_path, scene, usual)


RECORD = json.loads(
    (Path(__file__).parent.with_name("store") / "data/version1/records/alice").read_text()
)
BAD = {
    "no JSON": ("?", "no-document"),
    "a list": ("[]", "no-document"),
    "another format": (text(RECORD, format="else"), "no-document"),
    "another version": (text(RECORD, version=2), "no-document"),
    "a field more": (text(RECORD, more=1), "no-document"),
    "not ASCII": (text(RECORD) + "é", "no-document"),
    "a record that is none": (text(RECORD, {**RECORD, "uid": "0"}), "record-unfit"),
    "a record that is a number": (text(RECORD, 7), "record-unfit"),  # type: ignore[arg-type]
    "a person twice": (text(RECORD, RECORD), "record-unfit"),
    "deep": ("[" * 5000, "no-document"),
}


@pytest.mark.parametrize(("document", "why"), BAD.values(), ids=BAD.keys())
def test_what_is_no_document_is_refused(tmp_path: Path, document: str, why: str) -> None:
    async def scene(service: Service) -> None:
        ask = administration(service)
        for asked in (ask.check_import(ROOT, document), ask.import_bindings(ROOT, document)):
            with pytest.raises(BadRequest) as caught:
                await asked
            assert caught.value.reason == why
        assert service.bindings.all() == ([], [])

    run(tmp_path, scene)


def test_documents_are_for_root(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        ask = administration(service)
        for asked in (
            ask.export_bindings(LOCKER),
            ask.check_import(LOCKER, text(RECORD)),
            ask.import_bindings(LOCKER, text(RECORD)),
        ):
            with pytest.raises(NotAllowed):
                await asked

    run(tmp_path, scene)
