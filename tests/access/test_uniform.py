# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``uniform`` and ``decoy``: whatever is wrong, it looks the same from outside."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import NoReturn

import pytest

from keyservice.access import audit, verdicts
from keyservice.access.settings import Rules
from keyservice.access.uniform import MARGIN, TICK
from keyservice.contract.names import SSHD_JUNK, Code, ErrorName, Flag
from keyservice.contract.steps import Prompt, Verdict
from keyservice.core.errors import BadRequest, UkeyError
from keyservice.core.username import Person
from keyservice.store.revocations import Revocation

from .conftest import Make
from .rig import (
    CANCEL,
    GETTY,
    LOCKER,
    PIN,
    SILENCE,
    SSHD,
    WRONG,
    Clock,
    Held,
    Service,
    carry,
    resolve,
    run,
    uniform,
)

pytestmark = pytest.mark.alone

#: Seconds after the tick within which a verdict is out, on a machine that others use too.
LATE = 0.1
DECOY = Flag.UNIFORM | Flag.DECOY
#: A login from outside is allowed to wait for its ukey; a uniform one does not.
RULES = Rules(allow_virtual_readers=True, wait_for_ukey=15)


def alike(held: Held, ticks: int = 1) -> None:
    """One prompt, one verdict, nothing that tells one failure from another, at the tick."""
    assert held.steps == [
        Prompt("PIN of the ukey: "),
        Verdict(Code.AUTH_ERR, "Authentication failed."),
    ]
    assert 0 <= held.ended - held.answered - ticks * TICK < LATE


def test_every_failure_looks_the_same(tmp_path: Path, make: Make) -> None:
    ukey, locked = make(), make(1, tries=1)

    async def scene(service: Service) -> None:
        binding = service.bind(ukey)
        service.bind(locked, "bob")
        service.bind(ukey, "carol", serial="ABSENT", public_key=bytes([9] * 64).hex())
        service.bind(locked, "dave", serial="SN1-forged", public_key=bytes([8] * 64).hex())
        revocation = Revocation(bytes(32).hex(), True, "", 0, "", "")
        service.world.revocations.append(revocation)
        assert (await service.login(WRONG, user="bob")).code in (Code.AUTH_ERR, Code.MAXTRIES)

        cases: dict[str, Awaitable[Held]] = {
            "PinWrong": service.hold(uniform(), WRONG),
            "PinRefused": service.hold(uniform(), SSHD_JUNK),
            "Cancelled": service.hold(uniform(), b""),
            "PinLocked": service.hold(uniform("bob"), PIN),
            "UkeyAbsent": service.hold(uniform("carol"), PIN),
            "NotEnrolled": service.hold(uniform("root"), PIN),
            "UnknownUser": service.hold(uniform("mallory"), PIN),
            "BadRequest": service.hold(uniform("a/b"), PIN),
            "RemoteRefused": service.hold(uniform(rhost="192.0.2.1"), PIN, caller=SSHD),
            "NotAllowed": service.hold(uniform("bob"), PIN, caller=LOCKER),
            "Failed": service.hold(uniform(flags=DECOY), PIN),
        }
        service.lines()
        for held in await asyncio.gather(*cases.values()):
            alike(held)
        reasons = sorted(line.split('reason="')[1].split(":")[0] for line in service.lines())
        assert reasons == sorted(cases)

        (service.records.path / "dave").write_text("{")
        event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
        service.world.revocations.append(event)
        more = {
            "Revoked": service.hold(uniform(), PIN),
            "RecordDamaged": service.hold(uniform("dave"), PIN),
        }
        service.lines()
        for held in await asyncio.gather(*more.values()):
            alike(held)
        reasons = sorted(line.split('reason="')[1].split(":")[0] for line in service.lines())
        assert reasons == sorted(more)

    run(tmp_path, scene, RULES)


def test_a_throttled_ukey_looks_the_same(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for held in await asyncio.gather(*(service.hold(uniform(), WRONG) for _ in range(4))):
            alike(held)
        assert ukey.tries_left() == 7

    run(tmp_path, scene, RULES, clock=Clock())


def test_how_long_the_ukey_takes_does_not_show(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS
        for slow, ticks in ((1500, 1), (2300, 2)):
            ukey.control.misbehave(slow=slow, ins=[0x18])
            alike(await service.hold(uniform(), WRONG), ticks)

    run(tmp_path, scene, RULES)


def test_success_is_said_at_once(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(uniform(), PIN)
        assert (held.kinds, held.code) == (["Prompt", "Verdict"], Code.SUCCESS)
        assert held.ended - held.answered < 1

    run(tmp_path, scene, RULES)


def test_a_decoy_touches_no_ukey_and_never_lets_in(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.reset_apdus()
        alike(await service.hold(uniform(flags=DECOY), PIN))
        assert ukey.control.apdus() == []
        (line,) = service.lines()
        assert "flags=uniform,decoy verdict=AUTH_ERR" in line
        assert "decoy" in line.split("reason=")[1]

    run(tmp_path, scene, RULES)


@pytest.mark.parametrize("seconds", (0.35, 0.7, 1.1))
def test_how_many_log_in_at_once_does_not_show(tmp_path: Path, make: Make, seconds: float) -> None:
    """They wait for each other at the ukey, and only with the right password."""
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(slow=1000 * seconds, ins=[0x18])
        for _ in range(2):  # not known yet, and known, is how long the ukey takes
            service.lines()
            logins = [service.hold(uniform(), WRONG) for _ in range(7)]
            for held in await asyncio.gather(*logins):
                alike(held)
            reasons = [line.split('reason="')[1].split(":")[0] for line in service.lines()]
            tried = reasons.count("PinWrong")
            fit = (TICK - MARGIN) // seconds
            assert max(1, fit - 1) <= tried <= fit
            assert reasons.count("DeadlinePassed") == len(logins) - tried
            ukey.control.behave()
            assert (await service.login(PIN)).code is Code.SUCCESS
            ukey.control.misbehave(slow=1000 * seconds, ins=[0x18])

    run(tmp_path, scene, dataclasses.replace(RULES, throttle_after=9))


def test_what_comes_before_the_ukey_does_not_show(tmp_path: Path, make: Make) -> None:
    """A name service that hangs is none of a decoy's troubles."""
    ukey, hanging = make(), threading.Event()

    def resolve_slowly(name: str) -> Person:
        hanging.wait(10)
        return resolve(name)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        service.world.resolve = resolve_slowly
        alike(await service.hold(uniform(), PIN))
        hanging.set()
        assert (await service.hold(uniform(), PIN)).code is Code.SUCCESS

    run(tmp_path, scene, RULES)


def test_a_bug_looks_the_same(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        service.world.resolve = lambda name: 1 / 0  # type: ignore[assignment, return-value]
        alike(await service.hold(uniform(), PIN))

    run(tmp_path, scene, RULES)


class Unspeakable(UkeyError):
    """It cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("where", ("in the verdict", "in the line", "in the log", "in the error"))
def test_a_bug_at_the_very_end_looks_the_same_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(where)

    async def scene(service: Service) -> None:
        if where == "in the verdict":
            monkeypatch.setattr(verdicts, "of", fail)
        if where == "in the line":
            monkeypatch.setattr(audit, "attempt_fields", fail)
        if where == "in the log":
            once = iter((fail, service.world.audit._write))
            monkeypatch.setattr(service.world.audit, "_write", lambda *line: next(once)(*line))
        if where == "in the error":
            service.world.resolve = lambda name: raise_(Unspeakable())
        alike(await service.hold(uniform(), PIN))
        (line,) = service.lines()
        assert "event=authentication user=alice " in line
        assert " verdict=AUTH_ERR reason=" in line
        assert "RuntimeError" in line

    run(tmp_path, scene, RULES)


def raise_(error: Exception) -> NoReturn:
    raise error


def test_hanging_up(tmp_path: Path, make: Make) -> None:
    """Without an answer, that is all there is; after one, it looks like any failure."""
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(uniform(), CANCEL)
        assert (held.code, held.verdict.error) == (Code.CONV_ERR, ErrorName.CANCELLED)
        assert held.ended - held.answered < 1
        held = await service.hold(uniform(timeout=1), SILENCE)
        assert held.verdict == Verdict(Code.AUTH_ERR, "Authentication failed.")

        session = service.begin(uniform())
        ukey.control.misbehave(slow=500, ins=[0x18])

        def hang_up_later() -> bytes:
            asyncio.get_running_loop().call_later(0.1, session.cancel)
            return PIN

        alike(await carry(session, hang_up_later))

    run(tmp_path, scene, RULES)


@pytest.mark.parametrize(
    "flags",
    [Flag.UNIFORM | Flag.NOUSEROK, Flag.DECOY, DECOY | Flag.NOUSEROK],
    ids=["uniform nouserok", "decoy alone", "all three"],
)
def test_options_that_contradict_each_other_begin_nothing(tmp_path: Path, flags: Flag) -> None:
    async def scene(service: Service) -> None:
        with pytest.raises(BadRequest):
            service.begin(uniform(flags=flags), GETTY)
        assert len(service.sessions) == 0

    run(tmp_path, scene, RULES)


def test_a_uid_that_is_nobodys_is_asked_nothing(tmp_path: Path) -> None:
    """Whoever has 65,536 subordinate ones would hold as many prompts open."""

    async def scene(service: Service) -> None:
        stranger = dataclasses.replace(LOCKER, uid=100007, ruid=100007)
        held = await service.hold(uniform(), caller=stranger)
        assert held.steps == [Verdict(Code.AUTH_ERR, "Authentication failed.")]

    run(tmp_path, scene)
