# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Logins in the helpful mode: who gets in, who does not, what they are told, what it costs."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import SSHD_JUNK, Code, ErrorName, Flag, WaitFor
from keyservice.contract.steps import Prompt, Wait
from keyservice.core.secret import Secret
from keyservice.store.bindings import serialize
from keyservice.store.revocations import Revocation
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import (
    BOOT,
    CANCEL,
    GETTY,
    LOCKER,
    PIN,
    ROOT,
    SILENCE,
    SSHD,
    SU,
    SU_BY_SSH,
    WRONG,
    Clock,
    Held,
    Service,
    carry,
    login,
    run,
)

#: One time in a row is wrong without a pause, as long as a test is not about pauses.
PATIENT = Rules(allow_virtual_readers=True, wait_for_ukey=0, throttle_after=10)


def refused(held: Held, code: Code, error: ErrorName, *, asked: bool) -> None:
    """It ended with `code` for `error`; the PIN was asked, or not, and something was said."""
    assert (held.code, held.verdict.error) == (code, error)
    assert bool(held.prompts) is asked
    assert held.verdict.text


@pytest.mark.smoke
def test_the_right_pin_lets_in(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(PIN)
        assert held.kinds == ["Prompt", "Verdict"]
        assert held.prompts == ["PIN of ukey SN0: "]
        assert held.steps[0] == Prompt("PIN of ukey SN0: ", echo=False)
        assert held.code is Code.SUCCESS
        (line,) = service.lines()
        assert line.startswith("<85>keyservice[")
        for part in (
            "event=authentication user=alice uid=1000 service=login caller=0 ruid=0 loginuid=-",
            'tty=tty1 rhost=- local=yes place="a console of this machine" serial=SN0',
            "verdict=SUCCESS",
        ):
            assert part in line
        assert PIN.decode() not in line

    run(tmp_path, scene)


@pytest.mark.smoke
def test_a_wrong_pin_costs_a_try_and_says_so(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(WRONG)
        refused(held, Code.AUTH_ERR, ErrorName.PIN_WRONG, asked=True)
        assert held.verdict.text == "The PIN is wrong. 9 tries are left."
        assert held.verdict.detail["left"] == 9
        assert ukey.tries_left() == 9
        held = await service.login(PIN)
        assert held.prompts == ["PIN of ukey SN0 (9 tries left): "]
        assert held.code is Code.SUCCESS
        assert ukey.tries_left() == 10

    run(tmp_path, scene)


@pytest.mark.parametrize(
    "junk",
    [SSHD_JUNK, b"12345", b"1" * 17, b"1" * 256, b"52849\x001", b"52849\x7f1", b"\n" * 8],
    ids=["sshd's", "short", "long", "longest", "NUL", "DEL", "newlines"],
)
def test_what_cannot_be_a_pin_costs_no_try(tmp_path: Path, ukey: Softkey, junk: bytes) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.reset_apdus()
        refused(await service.login(junk), Code.AUTH_ERR, ErrorName.PIN_REFUSED, asked=True)
        assert not any(ins == 0x18 for ins, _ in ukey.control.apdus())

    run(tmp_path, scene)


def test_an_empty_answer_a_cancel_and_silence(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        refused(await service.login(b""), Code.CONV_ERR, ErrorName.CANCELLED, asked=True)
        refused(await service.login(CANCEL), Code.CONV_ERR, ErrorName.CANCELLED, asked=True)
        held = await service.login(SILENCE, timeout=1)
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.DEADLINE_PASSED, asked=True)
        assert 0.9 < held.ended - held.answered < 1.5
        assert ukey.tries_left() == 10

    run(tmp_path, scene)


# -- the ukey


def test_the_ukey_is_awaited(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        session = service.begin(login())
        assert await session.next_step() == Wait("Insert ukey SN0.", WaitFor.UKEY)
        ukey.control.insert()
        held = await carry(session, PIN)
        assert (held.kinds, held.code) == (["Prompt", "Verdict"], Code.SUCCESS)

    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=20))


def test_nobody_is_waited_for_longer_than_said(tmp_path: Path, make: Make) -> None:
    make(1)  # somebody else's
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for name, kinds in (("login", ["Wait", "Verdict"]), ("sudo", ["Verdict"])):
            held = await service.login(service=name)
            refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.UKEY_ABSENT, asked=False)
            assert held.kinds == kinds
            assert "SN0" in held.verdict.text

    rules = Rules(
        allow_virtual_readers=True,
        wait_for_ukey=1,
        services={"sudo": ServiceRule(wait_for_ukey=0)},
    )
    run(tmp_path, scene, rules)


def test_a_ukey_with_the_serial_and_another_key_is_not_asked_for_a_pin(
    tmp_path: Path, make: Make
) -> None:
    forged = make()

    async def scene(service: Service) -> None:
        service.bind(forged, public_key=bytes(range(64)).hex())
        held = await service.login()
        refused(held, Code.AUTH_ERR, ErrorName.KEY_MISMATCH, asked=False)

    run(tmp_path, scene)


def test_two_ukeys_with_one_serial_are_refused(tmp_path: Path, make: Make) -> None:
    ukey, _ = make(serial="SAME"), make(1, serial="SAME")

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login()
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.UKEY_AMBIGUOUS, asked=False)

    run(tmp_path, scene)


@pytest.mark.parametrize("kind", ["flipped", "zero", "out-of-range", "replayed", "other-key"])
def test_a_wrong_signature_does_not_let_in(tmp_path: Path, ukey: Softkey, kind: str) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS  # which "replayed" says again
        ukey.control.misbehave(signature=kind)
        held = await service.login(PIN)
        refused(held, Code.AUTH_ERR, ErrorName.SIGNATURE_WRONG, asked=True)

    run(tmp_path, scene)


@pytest.mark.parametrize("ins", [0x14, 0x50, 0x18, 0x74, 0x1C])
def test_a_ukey_pulled_out_on_the_way(tmp_path: Path, ukey: Softkey, ins: int) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        ukey.control.misbehave(pull="after", ins=[ins])
        held = await service.login(PIN)
        assert held.code is Code.AUTHINFO_UNAVAIL
        assert held.verdict.error in (ErrorName.UKEY_ABSENT, ErrorName.UKEY_FAILED)

    run(tmp_path, scene)


def test_an_emulated_reader_is_refused_unless_allowed(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login()
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.READER_REFUSED, asked=False)

    run(tmp_path, scene, Rules(wait_for_ukey=0))


def test_a_slow_ukey_is_said_to_work(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        ukey.control.misbehave(slow=2000, ins=[0x74])
        held = await service.login(PIN)
        assert held.kinds == ["Prompt", "Wait", "Verdict"]
        assert held.steps[1] == Wait("The ukey is working.", WaitFor.DEVICE)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_many_at_once_are_each_served_in_turn(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(slow=50, ins=[0x74])
        answers = [WRONG if number % 8 == 3 else PIN for number in range(16)]
        all_held = await asyncio.gather(*(service.login(answer) for answer in answers))
        for answer, held in zip(answers, all_held, strict=True):
            assert held.code is (Code.SUCCESS if answer == PIN else Code.AUTH_ERR)
        assert any(Wait in map(type, held.steps) for held in all_held)

    run(tmp_path, scene, PATIENT)


# -- who it is


def test_who_is_not_enrolled(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        refused(await service.login(), Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=False)
        held = await service.login(flags=Flag.NOUSEROK)
        assert (held.code, held.kinds) == (Code.IGNORE, ["Verdict"])
        # a roll-out does not shut out those from afar who have no ukey yet
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
        (service.records.path / "renamed").write_bytes(serialize(renamed))
        held = await service.login(flags=Flag.NOUSEROK)
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.RECORD_DAMAGED, asked=False)
        (line,) = service.lines()
        assert "record_user=renamed" in line

    run(tmp_path, scene)


def test_a_revoked_key_stays_revoked_when_its_record_comes_back(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        key = service.bind(ukey).fingerprint
        service.world.revocations.append(Revocation(key, True, "", 0, "alice", "SN0"))
        refused(await service.login(), Code.AUTH_ERR, ErrorName.REVOKED, asked=False)

    run(tmp_path, scene)


@pytest.mark.smoke
def test_what_is_unbound_or_revoked_during_the_prompt_does_not_let_in(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(ukey)

        def unbound() -> bytes:
            service.world.bindings.remove(binding)
            return PIN

        def revoked() -> bytes:
            event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
            service.world.revocations.append(event)
            return PIN

        held = await service.login(unbound)
        refused(held, Code.USER_UNKNOWN, ErrorName.NOT_ENROLLED, asked=True)
        service.world.bindings.add(binding)
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
        refused(held, Code.PERM_DENIED, ErrorName.REMOTE_REFUSED, asked=False)
        held = await service.login(caller=SU_BY_SSH, service="su", tty="tty1")
        refused(held, Code.PERM_DENIED, ErrorName.REMOTE_REFUSED, asked=False)
        far_locker = dataclasses.replace(LOCKER, logind_session="ssh")
        held = await service.login(caller=far_locker)
        refused(held, Code.PERM_DENIED, ErrorName.REMOTE_REFUSED, asked=False)
        assert (await service.login(PIN, caller=SU, tty="pts/0")).code is Code.SUCCESS
        held = await service.login(PIN, caller=SSHD, **(far | {"service": "kiosk"}))
        assert held.code is Code.SUCCESS
        assert all("local=no" in line for line in service.lines()[:3])

    services = {"kiosk": ServiceRule(allow_remote=True)}
    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=0, services=services))


# -- tries


def test_the_last_try_is_for_a_login_that_root_began(tmp_path: Path, make: Make) -> None:
    ukey = make(tries=3)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(2):
            assert (await service.login(WRONG, caller=SU)).code is Code.AUTH_ERR
        for caller in (SU, ROOT, LOCKER, dataclasses.replace(GETTY, ruid=None)):
            held = await service.login(caller=caller)
            refused(held, Code.MAXTRIES, ErrorName.TRY_WITHHELD, asked=False)
        assert ukey.tries_left() == 1
        assert (await service.login(PIN)).code is Code.SUCCESS
        for _ in range(3):
            assert (await service.login(WRONG)).code in (Code.AUTH_ERR, Code.MAXTRIES)
        assert ukey.tries_left() == 0
        held = await service.login()
        refused(held, Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)

    run(tmp_path, scene, PATIENT)


def test_a_locker_leaves_the_reserve(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(7):
            assert (await service.login(WRONG, caller=LOCKER)).code is Code.AUTH_ERR
        held = await service.login(caller=LOCKER)
        refused(held, Code.MAXTRIES, ErrorName.TRY_WITHHELD, asked=False)
        assert ukey.tries_left() == 3
        assert (await service.login(PIN, caller=SU)).code is Code.SUCCESS

    run(tmp_path, scene, PATIENT)


def test_tries_that_came_back_elsewhere_are_seen(tmp_path: Path, make: Make) -> None:
    """Locked as last seen: the ukey itself is asked before anybody is turned away."""
    ukey = make(tries=1)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(WRONG)).code in (Code.AUTH_ERR, Code.MAXTRIES)
        ukey.control.reset_apdus()
        refused(await service.login(), Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)
        assert [ins for ins, _ in ukey.control.apdus()] == [0x14]

    run(tmp_path, scene, PATIENT)


def test_three_wrong_pins_are_followed_by_a_pause_that_doubles(
    tmp_path: Path, ukey: Softkey
) -> None:
    clock = Clock()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(3):
            assert (await service.login(WRONG)).code is Code.AUTH_ERR
        held = await service.login()
        refused(held, Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        assert held.verdict.detail["seconds"] == 60
        clock.seconds += 59
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        clock.seconds += 1
        assert (await service.login(WRONG)).code is Code.AUTH_ERR
        clock.seconds += 119

    async def after_a_restart(service: Service) -> None:
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        clock.seconds += 1
        assert (await service.login(PIN)).code is Code.SUCCESS
        for _ in range(2):
            assert (await service.login(WRONG)).code is Code.AUTH_ERR
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene, clock=clock)
    run(tmp_path, after_a_restart, clock=clock, boot=BOOT)


def test_hanging_up_hides_no_wrong_pin(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        ukey.control.misbehave(slow=300, ins=[0x18])
        service.lines()
        for _ in range(3):
            session = service.begin(login())
            assert isinstance(await session.next_step(), Prompt)
            session.answer(Secret(WRONG))
            await asyncio.sleep(0.1)  # while the ukey looks at it
            session.cancel()
            await session.ended()
        assert [line.count('reason="PinWrong') for line in service.lines()] == [1, 1, 1]
        refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)

    run(tmp_path, scene)


def test_those_who_wait_behind_wrong_pins_are_throttled_too(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        everyone = await asyncio.gather(*(service.login(WRONG) for _ in range(6)))
        codes = sorted(held.code.value for held in everyone)
        assert codes == ["AUTH_ERR"] * 3 + ["MAXTRIES"] * 3
        assert ukey.tries_left() == 7

    run(tmp_path, scene)
