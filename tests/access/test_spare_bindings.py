# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Binding and unbinding one of several ukeys, and changing the PIN of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.access.administration import Administration
from keyservice.access.conversation import Request
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.errors import StoreFailed
from keyservice.store.records import Purpose
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import LOCKER, NEW, PIN, ROOT, Held, Service, run

TWO = Rules(allow_virtual_readers=True, wait_for_ukey=0, ukeys_per_person=2)


def bind(**fields: Any) -> Request:
    return Request(operations.BIND, "alice", **fields)


def unbind(serial: str = "", *, force: bool = False) -> Request:
    flags = Flag.FORCE if force else Flag(0)
    return Request(operations.UNBIND, "alice", serial=serial, flags=flags)


def change(serial: str = "") -> Request:
    return Request(operations.CHANGE_PIN, serial=serial)


def serials(service: Service) -> list[str]:
    bindings, damaged = service.bindings.all()
    assert damaged == []
    return [each.serial for each in bindings]


def both(make: Make) -> tuple[Softkey, Softkey]:
    return make(0, serial="RED-0001"), make(1, serial="BLUE-0002")


def test_a_second_ukey_is_bound_with_a_label_and_no_third(tmp_path: Path, make: Make) -> None:
    ukeys = [make(0), make(1)]

    async def scene(service: Service) -> None:
        held = await service.hold(bind(serial="SN0"), PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        held = await service.hold(bind(label="spare"), PIN, caller=ROOT)
        assert held.prompts == ['PIN of ukey SN1 "spare": ']
        assert held.verdict.text == 'Ukey SN1 "spare" is now bound to alice.'
        assert serials(service) == ["SN0", "SN1"]
        held = await service.hold(bind(), caller=ROOT)
        assert (held.verdict.error, held.kinds) == (ErrorName.ALREADY_BOUND, ["Verdict"])
        assert 'has a ukey bound already: SN0, SN1 "spare".' in held.verdict.text
        assert "enrolment.ukeys_per_person in keyservice.toml" in held.verdict.text
        assert "it is 2." in held.verdict.text
        rows = await Administration(service.services, service.sessions, "1").list_bindings(ROOT)
        assert [(row["serial"], row["label"]) for row in rows] == [("SN0", ""), ("SN1", "spare")]
        for softkey in ukeys:
            assert softkey.tries_left() == 10

    run(tmp_path, scene, TWO)


def test_without_the_setting_a_person_has_one(tmp_path: Path, make: Make) -> None:
    ukeys = make(0), make(1)

    async def scene(service: Service) -> None:
        service.bind(ukeys[0])
        held = await service.hold(bind(serial="SN1"), caller=ROOT)
        assert (held.verdict.error, held.kinds) == (ErrorName.ALREADY_BOUND, ["Verdict"])
        assert "enrolment.ukeys_per_person in keyservice.toml says" in held.verdict.text
        assert serials(service) == ["SN0"]

    run(tmp_path, scene)


@pytest.mark.parametrize("label", ["x" * 65, "a\nb", " a", "\x1b[2J", "\u202e"])
def test_a_label_that_could_mislead_is_refused(tmp_path: Path, ukey: Softkey, label: str) -> None:
    async def scene(service: Service) -> None:
        held = await service.hold(bind(label=label), caller=ROOT)
        assert (held.verdict.error, held.kinds) == (ErrorName.BAD_REQUEST, ["Verdict"])
        assert "64" in held.verdict.text
        assert serials(service) == []

    run(tmp_path, scene)


def test_the_one_that_is_inserted_is_unbound_or_the_named_one(tmp_path: Path, make: Make) -> None:
    red, blue = both(make)

    async def scene(service: Service) -> None:
        for softkey, label in ((red, "red"), (blue, "blue")):
            service.bind(softkey, label=label)
        held = await service.hold(unbind(), b"BLUE-0002", PIN, caller=ROOT)
        assert held.prompts == ["Serial of the ukey to use: ", 'PIN of ukey BLUE-0002 "blue": ']
        assert "RED-0001  red" in held.text
        assert (held.code, serials(service)) == (Code.SUCCESS, ["RED-0001"])
        service.bind(blue, label="blue")
        held = await service.hold(unbind("BLUE"), PIN, caller=ROOT)
        assert held.prompts == ['PIN of ukey BLUE-0002 "blue": ']
        assert (held.code, serials(service)) == (Code.SUCCESS, ["RED-0001"])
        service.bind(blue, label="blue")
        red.remove()
        held = await service.hold(unbind(), PIN, caller=ROOT)
        assert held.prompts == ['PIN of ukey BLUE-0002 "blue": ']
        assert (held.code, serials(service)) == (Code.SUCCESS, ["RED-0001"])
        for serial in ("BLU", "GREEN"):
            held = await service.hold(unbind(serial), caller=ROOT)
            assert held.verdict.error is ErrorName.NOT_ENROLLED
            assert f"No ukey {serial} is bound to alice" in held.verdict.text

    run(tmp_path, scene, TWO)


def test_force_takes_all_unless_one_is_named(tmp_path: Path, make: Make) -> None:
    red, blue = both(make)

    async def scene(service: Service) -> None:
        bound = [service.bind(red), service.bind(blue, label="blue")]
        held = await service.hold(unbind("RED-", force=True), caller=ROOT)
        assert (held.code, serials(service)) == (Code.SUCCESS, ["BLUE-0002"])
        assert "Ukey RED-0001 is no longer bound to alice, and its key is revoked" in held.text
        assert service.revocations.find(bound[1].fingerprint) is None
        assert (await service.login(PIN)).code is Code.SUCCESS
        event = service.revocations.find(bound[0].fingerprint)
        assert event is not None
        service.bind(red)
        held = await service.hold(unbind(force=True), caller=ROOT)
        assert (held.code, serials(service)) == (Code.SUCCESS, [])
        assert 'BLUE-0002 "blue", RED-0001' in held.verdict.text
        assert held.verdict.detail == {
            "user": "alice",
            "serial": "BLUE-0002\nRED-0001",
            "key": f"{bound[1].fingerprint}\n{bound[0].fingerprint}",
        }
        assert all(service.revocations.find(each.fingerprint) for each in bound)
        assert "BLUE-0002, RED-0001" in service.lines()[-1]

    run(tmp_path, scene, TWO)


def test_force_that_fails_between_two_keys_says_what_is_done(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails when the second key is revoked, and then when the second one is removed."""
    red, blue = both(make)

    async def scene(service: Service) -> None:
        bound = [service.bind(red), service.bind(blue)]
        records = service.services.records
        revoke, remove = records.revoke, records.remove

        async def failing(event: Any, *more: Any) -> None:
            if event.serial == blue.serial:
                raise StoreFailed(path="/x", why="ENOSPC")
            await (remove if event in bound else revoke)(event, *more)

        with monkeypatch.context() as patch:
            patch.setattr(records, "revoke", failing)
            held = await service.hold(unbind(force=True), caller=ROOT)
        assert "The key of ukey BLUE-0002 could not be revoked, so alice still" in held.text
        assert "Other keys of alice are revoked already" in held.text
        assert "Nothing was changed" not in held.text
        assert serials(service) == ["RED-0001", "BLUE-0002"]
        assert service.revocations.find(bound[0].fingerprint)
        with monkeypatch.context() as patch:
            patch.setattr(records, "remove", failing)
            held = await service.hold(unbind(force=True), caller=ROOT)
        assert "The key of ukey BLUE-0002 is revoked on this host, and lets nobody in" in held.text
        assert serials(service) == ["BLUE-0002"]
        assert (await service.hold(unbind(force=True), caller=ROOT)).code is Code.SUCCESS
        assert serials(service) == []

    run(tmp_path, scene, TWO)


def test_with_a_ukey_go_its_ssh_keys(tmp_path: Path, make: Make) -> None:
    red, blue = make(), make(1)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    async def scene(service: Service) -> None:
        service.bind(red)
        ssh = {"algorithm": "p256", "public_key": spki.hex(), "purpose": Purpose.SSH}
        service.bind(red, container="ssh", **ssh)
        service.bind(blue)
        held = await service.hold(unbind("SN0"), PIN, caller=ROOT)
        assert (held.code, serials(service)) == (Code.SUCCESS, ["SN1"])

    run(tmp_path, scene, TWO)


def test_which_pin_is_changed_is_asked_or_named(tmp_path: Path, make: Make) -> None:
    red, blue = both(make)

    async def scene(service: Service) -> None:
        service.bind(red)
        service.bind(blue)

        async def changed(request: Request, *answers: bytes) -> Held:
            return await service.hold(request, *answers, caller=LOCKER)

        held = await changed(change(), b"BLUE-0002", PIN, NEW, NEW)
        assert held.code is Code.SUCCESS
        assert held.prompts[:2] == [
            "Serial of the ukey to use: ",
            "Present PIN of ukey BLUE-0002: ",
        ]
        held = await changed(change("RED-0001"), PIN, NEW, NEW)
        assert (held.code, held.verdict.detail) == (Code.SUCCESS, {"serial": "RED-0001"})
        held = await changed(change("SN7"))
        assert held.verdict.error is ErrorName.NOT_ALLOWED
        blue.remove()
        held = await changed(change(), NEW, PIN, PIN)
        assert (held.code, held.verdict.detail) == (Code.SUCCESS, {"serial": "RED-0001"})

    run(tmp_path, scene, TWO)
