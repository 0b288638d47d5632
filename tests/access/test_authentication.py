# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Logins in the helpful mode: who gets in, who does not, what they are told, what it costs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from keyservice.access.conversation import Request
from keyservice.access.settings import Rules, ServiceRule
from keyservice.access.turns import SLOW
from keyservice.contract.names import SSHD_JUNK, Code, ErrorName, WaitFor
from keyservice.contract.operations import AUTHENTICATION, BIND, Operation
from keyservice.contract.steps import Info, Prompt, Wait
from keyservice.core.errors import ReaderAbsent
from keyservice.core.username import Person
from keyservice.ukeys import pool
from keyservice.ukeys.reader import Reader
from keyservice.ukeys.settings import ReaderSettings
from tests.inprocess.pcscd import Pcscd
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import (
    CANCEL,
    MOMENT,
    PIN,
    ROOT,
    SILENCE,
    WRONG,
    Service,
    carry,
    login,
    refused,
    run,
    uniform,
)

#: One wrong PIN brings no pause, except in tests that are about pauses.
PATIENT = Rules(allow_virtual_readers=True, wait_for_ukey=0, throttle_after=10)


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
        begun = asyncio.get_running_loop().time()
        held = await service.login(SILENCE, timeout=1)
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.DEADLINE_PASSED, asked=True)
        assert 0.9 < held.ended - begun < 10
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


def test_the_ukey_is_awaited_beside_one_in_a_reader_that_is_refused(
    tmp_path: Path, make: Make
) -> None:
    make(1)
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(service="sudo")
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.READER_REFUSED, asked=False)
        assert held.kinds == ["Info", "Wait", "Verdict"]
        session = service.begin(login())
        assert isinstance(step := await session.next_step(), Info)
        assert "does not allow this reader" in step.text
        assert await session.next_step() == Wait("Insert ukey SN0.", WaitFor.UKEY)
        ukey.control.insert()
        held = await carry(session, PIN)
        assert (held.kinds, held.code) == (["Prompt", "Verdict"], Code.SUCCESS)

    services = {"sudo": ServiceRule(wait_for_ukey=1)}
    rules = Rules(allow_virtual_readers=True, wait_for_ukey=20, services=services)
    readers = ReaderSettings(deny=("* 01",), allow_virtual_readers=True)
    run(tmp_path, scene, rules, readers=readers)


@pytest.mark.parametrize("operation", [AUTHENTICATION, BIND])
def test_pcscd_is_awaited_as_a_ukey_is(
    tmp_path: Path, readers: Pcscd, ukey: Softkey, operation: Operation
) -> None:
    """A login may come before pcscd is up, as the first one after power-on does."""

    async def scene(service: Service) -> None:
        if operation == AUTHENTICATION:
            service.bind(ukey)
        readers.stop()
        await gone(service)
        session = service.begin(Request(operation, "alice"), ROOT)
        assert isinstance(step := await session.next_step(), Info)
        assert "pcscd" in step.text
        assert isinstance(await session.next_step(), Wait)
        readers.start()
        held = await carry(session, PIN)
        assert (held.kinds, held.code) == (["Prompt", "Verdict"], Code.SUCCESS)

    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=20))


async def gone(service: Service) -> None:
    """Wait until the service knows that pcscd is not there."""
    async with asyncio.timeout(15):
        with suppress(ReaderAbsent):
            while True:
                service.ukeys.check_there()
                await asyncio.sleep(MOMENT)


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


def test_a_wrong_signature_does_not_let_in(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for kind in ("flipped", "zero", "out-of-range", "replayed", "other-key"):
            ukey.control.behave()
            assert (await service.login(PIN)).code is Code.SUCCESS  # which "replayed" says again
            ukey.control.misbehave(signature=kind)
            held = await service.login(PIN)
            refused(held, Code.AUTH_ERR, ErrorName.SIGNATURE_WRONG, asked=True)

    run(tmp_path, scene)


def test_a_ukey_pulled_out_on_the_way(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for ins in (0x14, 0x50, 0x18, 0x74, 0x1C):
            assert (await service.login(PIN)).code is Code.SUCCESS
            with ukey.pulled():  # otherwise pcscd may miss that it is put back
                ukey.control.misbehave(pull="after", ins=[ins])
                held = await service.login(PIN)
            assert held.code is Code.AUTHINFO_UNAVAIL, hex(ins)
            assert held.verdict.error in (ErrorName.UKEY_ABSENT, ErrorName.UKEY_FAILED), hex(ins)
            await service.put_in(ukey)

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
        ukey.control.misbehave(slow=1000 * SLOW + 200, ins=[0x74])
        held = await service.login(PIN)
        assert held.kinds == ["Prompt", "Wait", "Verdict"]
        assert held.steps[1] == Wait("The ukey is working.", WaitFor.DEVICE)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_mute_ukey_is_told_from_a_slow_person(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(slow=3000, ins=[0x74])
        silent, muted = await asyncio.gather(service.login(SILENCE, timeout=1), service.login(PIN))
        assert silent.verdict.text.startswith("There was no answer in time.")
        assert muted.verdict.error is ErrorName.DEADLINE_PASSED
        assert muted.verdict.text.startswith("The ukey did not answer in time.")

    readers = ReaderSettings(operation_deadline=1.0, allow_virtual_readers=True)
    run(tmp_path, scene, readers=readers)


def in_reader(service: Service, softkey: Softkey) -> Reader:
    """What the service knows of the reader that the ukey is in."""
    readers = service.ukeys._readers.items()
    return next(reader for (_, name), reader in readers if name == softkey.reader)


@pytest.mark.parametrize("request_", [login(), uniform()], ids=["helpful", "uniform"])
def test_a_mute_card_in_another_reader_delays_nobody(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    """The login is over while the card still owes its first answer."""
    ukey, mute = make(), make(1, inserted=False)
    mute.control.misbehave(mute=True)
    monkeypatch.setattr(pool, "_SETTLE_MAX", 30.0)  # a wait would last as long

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.put_in(mute)
        card = in_reader(service, mute)
        assert card.unsettled
        assert (await service.hold(request_, PIN)).code is Code.SUCCESS
        assert card.unsettled

    run(tmp_path, scene)


def test_a_ukey_that_comes_beside_a_mute_card_is_used_at_once(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ukey, mute = make(inserted=False), make(1, inserted=False)
    ukey.control.misbehave(slow=500, ins=[0x04])
    mute.control.misbehave(mute=True)
    monkeypatch.setattr(pool, "_SETTLE_MAX", 30.0)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.put_in(mute)
        await service.put_in(ukey)
        cards = [in_reader(service, each) for each in (ukey, mute)]
        assert all(card.unsettled for card in cards)
        held = await service.login(PIN)  # does not wait for an insertion
        assert (held.kinds, held.code) == (["Prompt", "Verdict"], Code.SUCCESS)
        assert [card.unsettled for card in cards] == [False, True]

    run(tmp_path, scene)


def test_a_mute_name_service_is_told_from_a_slow_person(tmp_path: Path) -> None:
    release = threading.Event()

    async def scene(service: Service) -> None:
        service.services.resolve = lambda name: Person(name, release.wait(30))
        held = await service.login(timeout=1)
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.DEADLINE_PASSED, asked=False)
        assert held.verdict.text.startswith("This host could not look something up in time.")
        release.set()

    run(tmp_path, scene)


def test_many_at_once_are_each_served_in_turn(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(slow=20, ins=[0x74])
        answers = [WRONG if number % 8 == 3 else PIN for number in range(16)]
        all_held = await asyncio.gather(*(service.login(answer) for answer in answers))
        for answer, held in zip(answers, all_held, strict=True):
            assert held.code is (Code.SUCCESS if answer == PIN else Code.AUTH_ERR)
        assert any(Wait in map(type, held.steps) for held in all_held)

    run(tmp_path, scene, PATIENT)
