# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who logs in, by what record, and from where."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import pytest

from keyservice.access.settings import Rules, ServiceRule
from keyservice.access.shares import SESSIONS, Share
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.username import Person
from keyservice.store.record_text import serialize
from keyservice.store.revocations import Revocation
from tests.store.older import bindings as older
from tests.store.older.records import Binding as OlderBinding
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import (
    LOCKER,
    MOMENT,
    PIN,
    SSHD,
    SU,
    SU_BY_SSH,
    WRONG,
    Service,
    carry,
    login,
    refused,
    resolve,
    run,
)

VERIFY_PIN = 0x18  #: the INS of the command


def test_who_is_not_enrolled(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        refused(await service.login(), Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=False)
        held = await service.login(flags=Flag.NOUSEROK)
        assert (held.code, held.kinds) == (Code.IGNORE, ["Verdict"])
        # a roll-out does not shut out people from afar who have no ukey yet
        held = await service.login(flags=Flag.NOUSEROK, caller=SSHD, rhost="192.0.2.1")
        assert held.code is Code.IGNORE

    run(tmp_path, scene)


@pytest.mark.parametrize("name", ["mallory", "a/b", "..", "a\nb", "x" * 257])
def test_who_does_not_exist_is_not_ignored(tmp_path: Path, name: str) -> None:
    async def scene(service: Service) -> None:
        held = await service.login(user=name, flags=Flag.NOUSEROK)
        assert held.code in (Code.USER_UNKNOWN, Code.SERVICE_ERR)
        assert not held.prompts
        (line,) = service.lines()
        assert "\n" not in line

    run(tmp_path, scene)


def test_nobody_is_logged_in_as_nobody(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey, "root")
        held = await service.login(user="")
        refused(held, Code.SERVICE_ERR, ErrorName.BAD_REQUEST, asked=False)

    run(tmp_path, scene)


def test_another_spelling_is_the_same_person(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(PIN, user="ALICE")  # as SSSD and winbind resolve it
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_damaged_record_is_never_not_enrolled(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        (service.records.path / "alice").write_text("{")
        for user in ("alice", "bob"):
            held = await service.login(user=user, flags=Flag.NOUSEROK)
            refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.RECORD_DAMAGED, asked=False)
            assert str(service.records.path) not in held.text  # that is for the log
        assert all(f"{service.records.path}/alice" in line for line in service.lines())

    run(tmp_path, scene)


def test_a_record_of_a_uid_with_another_name_now(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        renamed = dataclasses.replace(binding, user="renamed")
        (service.records.path / "alice").rename(service.records.path / "renamed")
        (service.records.path / "renamed").write_bytes(serialize([renamed]))
        held = await service.login(flags=Flag.NOUSEROK)
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.RECORD_DAMAGED, asked=False)
        (line,) = service.lines()
        assert "record_user=renamed" in line

    run(tmp_path, scene)


def test_a_record_that_an_older_package_wrote_lets_in_and_stays_as_it_is(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        service.bindings.remove(binding)
        names = OlderBinding.__annotations__
        text = older.serialize(OlderBinding(**{name: getattr(binding, name) for name in names}))
        service.records.create("alice", text)
        assert (await service.login(PIN)).code is Code.SUCCESS
        assert (service.records.path / "alice").read_bytes() == text

    run(tmp_path, scene)


def test_a_revoked_key_stays_revoked_when_its_record_comes_back(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        key = service.bind(ukey).fingerprint
        service.revocations.append(Revocation(key, True, "", 0, "alice", "SN0"))
        refused(await service.login(), Code.AUTH_ERR, ErrorName.REVOKED, asked=False)

    run(tmp_path, scene)


@pytest.mark.smoke
def test_what_is_unbound_or_revoked_during_the_prompt_does_not_let_in(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)

        def unbound() -> bytes:
            service.bindings.remove(binding)
            return PIN

        def revoked() -> bytes:
            event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
            service.revocations.append(event)
            return PIN

        held = await service.login(unbound)
        refused(held, Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=True)
        service.bindings.add(binding)
        refused(await service.login(revoked), Code.AUTH_ERR, ErrorName.REVOKED, asked=True)

    run(tmp_path, scene)


def test_a_locker_asks_for_its_own_user_only(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN, caller=LOCKER)).code is Code.SUCCESS
        for user in ("bob", "root"):
            held = await service.login(user=user, caller=LOCKER)
            refused(held, Code.PERM_DENIED, ErrorName.NOT_ALLOWED, asked=False)

    run(tmp_path, scene)


# -- from where


def test_from_afar_is_refused_unless_the_service_may(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        far = {"service": "sshd", "tty": "ssh", "rhost": "127.0.0.1"}
        held = await service.login(caller=SSHD, **far)
        refused(held, Code.PERM_DENIED, ErrorName.FACTOR_MISSING, asked=False)
        held = await service.login(caller=SU_BY_SSH, service="su", tty="tty1")
        refused(held, Code.PERM_DENIED, ErrorName.REMOTE_REFUSED, asked=False)
        far_locker = dataclasses.replace(LOCKER, logind_session="ssh")
        held = await service.login(caller=far_locker)
        refused(held, Code.PERM_DENIED, ErrorName.REMOTE_REFUSED, asked=False)
        assert (await service.login(PIN, caller=SU, tty="pts/0")).code is Code.SUCCESS
        held = await service.login(PIN, caller=SSHD, **(far | {"service": "kiosk"}))
        assert held.code is Code.SUCCESS
        assert all("local=no" in line for line in service.lines()[:3])

    services = {"kiosk": ServiceRule(factors_from_afar=("ukey",))}
    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=0, services=services))


def test_names_that_make_the_name_service_hang_keep_nobody_else_out(
    tmp_path: Path, ukey: Softkey
) -> None:
    """An attacker who knows one gives it to su as often as they may have sessions."""
    release = threading.Event()

    def resolve_slowly(name: str) -> Person:
        if name == "hangs":
            release.wait(60)
        return resolve(name)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        service.services.resolve = resolve_slowly
        hanging = [service.begin(login("hangs"), SU) for _ in range(SESSIONS[Share.PEOPLE].each)]
        await asyncio.sleep(0)
        assert (await service.login(PIN)).code is Code.SUCCESS
        bob = dataclasses.replace(SU, ruid=1001, loginuid=1001, logind_session="bobs")
        assert (await service.login(PIN, caller=bob)).code is Code.SUCCESS
        release.set()
        for session in hanging:
            assert (await carry(session)).code is Code.USER_UNKNOWN

    run(tmp_path, scene)


def test_one_person_at_all_prompts_of_a_ukey_spends_three_tries_and_no_other_ukeys_time(
    tmp_path: Path, make: Make
) -> None:
    """If no password is asked before, anybody may have su ask for alice's PIN."""
    alices, carols = make(), make(1)

    async def scene(service: Service) -> None:
        service.bind(alices)
        service.bind(carols, "carol")
        bob = dataclasses.replace(SU, ruid=1001, loginuid=1001, logind_session="bobs")
        alices.control.misbehave(slow=300, ins=[VERIFY_PIN])
        alices.control.reset_apdus()
        guesses = [
            asyncio.create_task(carry(service.begin(login(), bob), WRONG))
            for _ in range(SESSIONS[Share.PEOPLE].each)
        ]
        while all(ins != VERIFY_PIN for ins, _ in alices.control.apdus()):
            await asyncio.sleep(MOMENT)
        assert (await service.login(PIN, user="carol")).code is Code.SUCCESS
        assert not any(guess.done() for guess in guesses)
        for guess in guesses:
            assert (await guess).code is not Code.SUCCESS
        assert [ins for ins, _ in alices.control.apdus()].count(VERIFY_PIN) == 3

    run(tmp_path, scene)
