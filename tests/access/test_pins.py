# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Changing, unblocking and verifying PINs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName
from keyservice.contract.steps import Error, Info, Prompt
from keyservice.core.secret import Secret
from keyservice.store.throttle import PinName
from tests.softkey.state import FACTORY_PIN, new
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import ADMIN_PIN, GETTY, LOCKER, NEW, PIN, ROOT, WRONG, Service, hang_up_at, run

PATIENT = Rules(allow_virtual_readers=True, wait_for_ukey=0, throttle_after=10)


def change(**fields: Any) -> Request:
    return Request(operations.CHANGE_PIN, **fields)


def verify(**fields: Any) -> Request:
    return Request(operations.VERIFY_PIN, **fields)


def unblock(serial: str = "SN0", **fields: Any) -> Request:
    return Request(operations.UNBLOCK_PIN, serial=serial, **fields)


def test_a_user_changes_the_pin_of_their_own(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(change(), PIN, NEW, NEW, caller=LOCKER)
        assert held.prompts == ["Present PIN of ukey SN0: ", "New PIN: ", "New PIN again: "]
        assert held.verdict.text == "The PIN of ukey SN0 is changed."
        assert (await service.login(NEW)).code is Code.SUCCESS
        (line, _) = service.lines()
        assert "event=change-pin user=alice uid=1000" in line
        assert NEW.decode() not in line

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((b"short",), ErrorName.PIN_REFUSED),
        ((PIN, *[b"short"] * 3), ErrorName.PIN_REFUSED),
        ((PIN, *[b"1" * 17] * 3), ErrorName.PIN_REFUSED),
        ((PIN, *[b"73613\x00"] * 3), ErrorName.PIN_REFUSED),
        ((PIN, *[PIN] * 3), ErrorName.PIN_REFUSED),
        ((PIN, *[NEW, WRONG] * 3), ErrorName.PIN_REFUSED),
        ((PIN, b""), ErrorName.CANCELLED),
        ((PIN, NEW, b""), ErrorName.CANCELLED),
        ((PIN, b"short", b""), ErrorName.PIN_REFUSED),
        ((PIN, NEW, WRONG, NEW, b""), ErrorName.PIN_REFUSED),
        ((WRONG, NEW, NEW), ErrorName.PIN_WRONG),
    ],
    ids=[
        "old short",
        "short",
        "long",
        "NUL",
        "equal",
        "differ",
        "empty",
        "empty again",
        "no other",
        "no other again",
        "wrong",
    ],
)
def test_nothing_changes(
    tmp_path: Path, ukey: Softkey, answers: tuple[bytes, ...], error: ErrorName
) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(change(user="alice"), *answers, caller=ROOT)
        assert held.verdict.error is error
        assert ukey.tries_left() == (9 if error is ErrorName.PIN_WRONG else 10)
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_slip_is_asked_again(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for slip, why in (
            ((NEW, WRONG), "was not typed the same way twice"),
            ((b"short",), "has 6 to 16 bytes, and no control characters"),
            ((WRONG,), "was typed the same as the present one"),  # right or not: nobody knows yet
        ):
            held = await service.hold(change(), WRONG, *slip, NEW, NEW, caller=LOCKER)
            assert held.verdict.error is ErrorName.PIN_WRONG
            (slipped,) = [step.text for step in held.steps if isinstance(step, Error)]
            assert why in slipped
        held = await service.hold(change(), PIN, b"short", NEW, WRONG, NEW, NEW, caller=LOCKER)
        assert held.code is Code.SUCCESS
        assert sum(isinstance(step, Error) for step in held.steps) == 2

    run(tmp_path, scene, PATIENT)


def test_the_audit_names_the_owner_when_root_names_only_the_ukey(
    tmp_path: Path, ukey: Softkey
) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        named = change(serial=ukey.serial)
        held = await service.hold(named, PIN, NEW, NEW, caller=ROOT)
        assert held.code is Code.SUCCESS
        assert "event=change-pin user=alice uid=1000" in service.lines()[-1]

    run(tmp_path, scene, PATIENT)


def test_few_tries_are_shown_first(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(7):
            await service.login(WRONG)
        held = await service.hold(verify(), caller=LOCKER)
        assert (held.code, held.verdict.error) == (Code.MAXTRIES, ErrorName.TRY_WITHHELD)
        held = await service.hold(change(user="alice"), PIN, NEW, NEW, caller=ROOT)
        assert held.steps[0] == Info("3 tries are left.")
        assert held.code is Code.SUCCESS

    run(tmp_path, scene, PATIENT)


def test_nobody_touches_anothers(tmp_path: Path, make: Make) -> None:
    mine, other = make(), make(1)

    async def scene(service: Service) -> None:
        service.bind(mine)
        service.bind(other, "bob")
        for request in (
            change(user="bob"),
            verify(user="bob"),
            change(serial="SN1"),
            verify(serial="SN1"),
            change(user="bob", serial="SN1"),
        ):
            held = await service.hold(request, caller=LOCKER)
            assert (held.code, held.verdict.error) == (Code.PERM_DENIED, ErrorName.NOT_ALLOWED)
        held = await service.hold(verify(serial="SN0"), PIN, caller=LOCKER)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_who_has_none(tmp_path: Path, make: Make) -> None:
    make()

    async def scene(service: Service) -> None:
        for request, caller in (
            (change(), LOCKER),
            (verify(serial="SN0"), LOCKER),
            (change(user="alice"), ROOT),
        ):
            held = await service.hold(request, caller=caller)
            assert held.verdict.error is ErrorName.NOT_ENROLLED

    run(tmp_path, scene)


def test_root_changes_a_default_pin_before_binding(tmp_path: Path, make: Make) -> None:
    make(pin=None), make(1, pin=None)

    async def scene(service: Service) -> None:
        held = await service.hold(change(), b"SN1", FACTORY_PIN, NEW, NEW, caller=ROOT)
        assert held.verdict.detail == {"serial": "SN1"}
        held = await service.hold(change(serial="SN0"), FACTORY_PIN, NEW, NEW, caller=ROOT)
        assert held.verdict.detail == {"serial": "SN0"}
        held = await service.hold(Request(operations.BIND, "alice", serial="SN0"), NEW, caller=ROOT)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


def test_unblocking(tmp_path: Path, make: Make) -> None:
    ukey = make(tries=1)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.login(WRONG)
        assert (await service.login()).verdict.error is ErrorName.PIN_LOCKED
        for _ in range(2):
            await service.services.throttle.failed(PinName("SN0", "ukey"))
        assert service.services.throttle.pause("SN0") == 60  # which unblocking ends
        held = await service.hold(unblock(), ADMIN_PIN, NEW, NEW, caller=ROOT)
        assert held.kinds == ["Info", "Prompt", "Prompt", "Prompt", "Verdict"]
        first = held.steps[0]
        assert first.text.startswith("10 tries of the admin PIN are left")
        assert held.code is Code.SUCCESS
        assert (await service.login(NEW)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_the_admin_pins_last_try_is_never_spent(tmp_path: Path, make: Make) -> None:
    ukey = make(admin_tries=2)

    async def scene(service: Service) -> None:
        held = await service.hold(unblock(), WRONG, NEW, NEW, caller=ROOT)
        assert held.verdict.error is ErrorName.PIN_WRONG
        assert held.verdict.text == "The admin PIN is wrong. 1 try is left."
        assert service.services.throttle.pause("SN0") == 0  # the user PIN's
        for caller in (ROOT, GETTY):
            held = await service.hold(unblock(), caller=caller)
            assert (held.kinds, held.code) == (["Info", "Verdict"], Code.MAXTRIES)
            assert held.verdict.error is ErrorName.TRY_WITHHELD
            assert "last try of the admin PIN" in held.verdict.text
        left = ukey.control.status()["applications"][0]["admin"]["left"]
        assert left == 1

    run(tmp_path, scene)


def test_a_locked_admin_pin_is_told_from_the_pin(tmp_path: Path, make: Make) -> None:
    ukey = make(admin_tries=1)
    ukey.remove()
    ukey.close()
    made = ukey.file.load()
    made.applications[0].admin.left = 0
    ukey.file.write(made)
    ukey.start()
    ukey.wait_seen()

    async def scene(service: Service) -> None:
        held = await service.hold(unblock(), caller=ROOT)
        assert (held.code, held.verdict.error) == (Code.MAXTRIES, ErrorName.PIN_LOCKED)
        assert held.verdict.text.startswith("The admin PIN is locked")
        held = await service.hold(unblock(application="none"), caller=ROOT)
        assert held.verdict.error is ErrorName.NO_KEY_PAIR
        assert "no such application" in held.verdict.text

    run(tmp_path, scene)


def test_which_application_is_meant(tmp_path: Path, make: Make) -> None:
    """Bound or not, the named one; without a name the bound one, or a question of which."""
    ukey = make()
    ukey.remove()
    ukey.close()
    made = ukey.file.load()
    (other,) = new(application="my other", pin=PIN, admin_pin=ADMIN_PIN).applications
    other.ident = bytes.fromhex("0902")
    made.applications.append(other)
    ukey.file.write(made)
    ukey.start()
    ukey.wait_seen()

    def left() -> list[int]:
        return [each["user"]["left"] for each in ukey.control.status()["applications"]]

    async def scene(service: Service) -> None:
        held = await service.hold(change(serial="SN0"), caller=ROOT)
        assert held.verdict.error is ErrorName.BAD_REQUEST
        assert "name one of 'my other', ukey" in held.verdict.text
        for bound in (False, True):
            if bound:
                service.bind(ukey)
            named = verify(serial="SN0", application="my other")
            assert (await service.hold(named, WRONG, caller=ROOT)).code is Code.AUTH_ERR
            assert left() == [10, 9]
            assert (await service.hold(named, PIN, caller=ROOT)).code is Code.SUCCESS
        await service.hold(verify(), WRONG, caller=LOCKER)
        assert left() == [9, 10]
        named = change(application="my other")
        assert (await service.hold(named, PIN, NEW, NEW, caller=LOCKER)).code is Code.SUCCESS
        named = unblock(application="my other")
        held = await service.hold(named, ADMIN_PIN, PIN, PIN, caller=ROOT)
        assert held.code is Code.SUCCESS
        held = await service.hold(verify(application="none"), caller=LOCKER)
        assert "no such application" in held.verdict.text
        named = verify(application="my other")
        assert (await service.hold(named, PIN, caller=LOCKER)).code is Code.SUCCESS
        assert left() == [9, 10]

    run(tmp_path, scene)


def test_verifying(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(verify(), PIN, caller=LOCKER)
        assert held.verdict.detail == {"serial": "SN0", "left": 10, "maximum": 10}
        held = await service.hold(verify(), WRONG, caller=LOCKER)
        assert (held.code, held.verdict.detail["left"]) == (Code.AUTH_ERR, 9)

    run(tmp_path, scene)


def test_a_changed_pin_is_told_as_changed_even_to_nobody(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        ukey.control.misbehave(slow=200, ins=[0x16])
        session = service.begin(change(), LOCKER)
        for answer in (PIN, NEW, NEW):
            assert isinstance(await session.next_step(), Prompt)
            session.answer(Secret(answer))
        await hang_up_at(ukey, 0x16, session)
        await session.ended()
        assert "event=change-pin" in (line := service.lines()[-1])
        assert "verdict=SUCCESS" in line
        ukey.control.behave()
        assert (await service.login(NEW)).code is Code.SUCCESS

    run(tmp_path, scene)
