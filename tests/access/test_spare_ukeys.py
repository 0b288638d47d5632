# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A person with several ukeys logs in with any; a PIN goes to the one that its prompt names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from keyservice.access.settings import Rules
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Info
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import PIN, WRONG, Held, Service, carry, login, refused, run

TWO = Rules(allow_virtual_readers=True, wait_for_ukey=0, ukeys_per_person=2)
OTHER_PIN = b"947162"
RED, BLUE = 'SN0 "red"', 'SN1 "blue"'


def both(service: Service, first: Softkey, second: Softkey) -> tuple[Binding, Binding]:
    """alice's, of which the first was bound first."""
    return service.bind(first, label="red"), service.bind(second, label="blue")


def revoke(service: Service, binding: Binding) -> None:
    event = Revocation(binding.fingerprint, True, "", 0, binding.user, binding.serial)
    service.revocations.append(event)


def told(held: Held) -> list[str]:
    return [step.text for step in held.steps if isinstance(step, Info)]


def signed(softkey: Softkey) -> bool:
    """Whether a PIN went to the ukey since it was last asked."""
    apdus = softkey.control.apdus()
    softkey.control.reset_apdus()
    return any(ins == 0x18 for ins, _ in apdus)


def test_either_logs_in_and_the_prompt_names_it(tmp_path: Path, make: Make) -> None:
    first, second = make(), make(1, pin=OTHER_PIN)

    second.remove()

    async def scene(service: Service) -> None:
        both(service, first, second)
        held = await service.login(PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {RED}: "])
        assert "serial=SN0 " in service.lines()[-1]
        first.remove()
        await service.put_in(second)
        held = await service.login(OTHER_PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {BLUE}: "])
        assert "serial=SN1 " in service.lines()[-1]

    run(tmp_path, scene, TWO)


def test_of_two_that_are_inserted_one_is_asked_and_the_other_keeps_its_tries(
    tmp_path: Path, make: Make
) -> None:
    first, second = make(), make(1, pin=OTHER_PIN)

    async def scene(service: Service) -> None:
        both(service, first, second)
        for pin, code in ((OTHER_PIN, Code.AUTH_ERR), (PIN, Code.SUCCESS)):
            held = await service.login(pin)
            assert held.code is code
            assert held.prompts[0].startswith(f"PIN of ukey {RED}")
            (text,) = told(held)
            assert f"inserted: {RED}, {BLUE}. The first one is asked" in text
        assert second.tries_left() == 10
        assert first.tries_left() == 10

    run(tmp_path, scene, TWO)


def test_none_inserted_is_told_with_the_names_of_all(tmp_path: Path, make: Make) -> None:
    first, second = make(inserted=False), make(1, inserted=False)

    async def scene(service: Service) -> None:
        both(service, first, second)
        held = await service.login()
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.UKEY_ABSENT, asked=False)
        assert f"None of your ukeys is inserted: {RED}, {BLUE}." in held.verdict.text
        service.services.rules = replace(TWO, wait_for_ukey=10)
        session = service.begin(login())
        step = await session.next_step()
        assert step.text == f"Insert one of your ukeys: {RED}, {BLUE}."
        second.insert()
        held = await carry(session, PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {BLUE}: "])

    run(tmp_path, scene, TWO)


def test_a_revoked_one_is_refused_and_the_other_is_good(tmp_path: Path, make: Make) -> None:
    first, second = make(), make(1)

    async def scene(service: Service) -> None:
        red, _blue = both(service, first, second)
        revoke(service, red)
        held = await service.login(PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {BLUE}: "])
        assert told(held) == []
        assert not signed(first)
        second.remove()
        held = await service.login()
        refused(held, Code.AUTH_ERR, ErrorName.REVOKED, asked=False)
        assert "serial=SN0 " in service.lines()[-1]
        first.remove()
        held = await service.login()
        refused(held, Code.AUTHINFO_UNAVAIL, ErrorName.UKEY_ABSENT, asked=False)
        assert "Ukey SN1 is not inserted" in held.verdict.text

    run(tmp_path, scene, TWO)


def test_both_revoked_is_told_of_the_one_that_is_inserted(tmp_path: Path, make: Make) -> None:
    first, second = make(inserted=False), make(1)

    async def scene(service: Service) -> None:
        for each in both(service, first, second):
            revoke(service, each)
        held = await service.login()
        refused(held, Code.AUTH_ERR, ErrorName.REVOKED, asked=False)
        assert "serial=SN1 " in service.lines()[-1]

    run(tmp_path, scene, TWO)


def test_of_a_locked_or_paused_one_the_other_is_asked(tmp_path: Path, make: Make) -> None:
    first, second = make(tries=3), make(1)

    async def scene(service: Service) -> None:
        both(service, first, second)
        second.remove()
        for _ in range(3):
            assert (await service.login(WRONG)).code is Code.AUTH_ERR
        assert (await service.login()).verdict.error is ErrorName.THROTTLED
        await service.put_in(second)
        held = await service.login(PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {BLUE}: "])
        assert "Too many wrong PINs" in told(held)[0]
        service.clock.seconds += 100_000
        held = await service.login(PIN)
        assert (held.code, held.prompts) == (Code.SUCCESS, [f"PIN of ukey {BLUE}: "])
        second.remove()
        held = await service.login()
        refused(held, Code.MAXTRIES, ErrorName.PIN_LOCKED, asked=False)

    run(tmp_path, scene, TWO)


def test_under_uniform_two_look_like_one_and_a_pin_goes_to_no_guessed_one(
    tmp_path: Path, make: Make
) -> None:
    first, second = make(), make(1)

    async def scene(service: Service) -> None:
        both(service, first, second)
        held = await service.login(PIN, flags=Flag.UNIFORM)
        assert (held.code, held.kinds) == (Code.AUTH_ERR, ["Prompt", "Verdict"])
        assert (held.prompts, held.verdict.text) == (
            ["PIN of the ukey: "],
            "Authentication failed.",
        )
        assert "UkeyAmbiguous: Several ukeys of the person are in readers" in service.lines()[-1]
        assert not signed(first)
        assert not signed(second)
        first.remove()
        held = await service.login(PIN, flags=Flag.UNIFORM)
        assert (held.code, held.prompts) == (Code.SUCCESS, ["PIN of the ukey: "])
        assert "serial=SN1 " in service.lines()[-1]

    run(tmp_path, scene, TWO)
