# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``uniform`` and ``decoy``: whatever is wrong, it looks the same from outside."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import audit, authentication, identity, lookups, verdicts
from keyservice.access import uniform as module
from keyservice.access.context import Context
from keyservice.access.messages import Texts
from keyservice.access.settings import Rules
from keyservice.contract.names import SSHD_JUNK, Code, ErrorName, Flag
from keyservice.contract.steps import Prompt, Verdict
from keyservice.core.errors import BadRequest, UkeyError
from keyservice.core.logsocket import Severity
from keyservice.core.username import Person
from keyservice.store.revocations import Revocation

from .conftest import Make
from .rig import (
    CANCEL,
    GETTY,
    LOCKER,
    PIN,
    SILENCE,
    SU_BY_SSH,
    WRONG,
    Clock,
    Held,
    Service,
    carry,
    resolve,
    run,
    run_beside,
    uniform,
)

pytestmark = pytest.mark.alone

#: Seconds after the tick within which a verdict is out, on a machine that others use too.
LATE = 0.1
DECOY = Flag.UNIFORM | Flag.DECOY
#: A login from outside is allowed to wait for its ukey; a uniform one does not.
RULES = Rules(allow_virtual_readers=True, wait_for_ukey=15)


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks half as long. Those of the product are in ``test_on_pcscd``."""
    monkeypatch.setattr(module, "TICK", module.TICK / 2)
    monkeypatch.setattr(module, "MARGIN", module.MARGIN / 2)


def alike(held: Held, ticks: int = 1) -> None:
    """Check for one prompt and one verdict at the tick, and nothing that tells failures apart."""
    assert held.steps == [
        Prompt("PIN of the ukey: "),
        Verdict(Code.AUTH_ERR, "Authentication failed."),
    ]
    assert 0 <= held.ended - held.answered - ticks * module.TICK < LATE


def reasons(lines: list[str]) -> list[str]:
    """Why the logins of these lines failed, sorted."""
    return sorted(line.split('reason="')[1].split(":")[0] for line in lines)


def test_every_failure_looks_the_same(tmp_path: Path, make: Make) -> None:
    ukey, locked = make(), make(1, tries=1)

    async def with_whole_records(service: Service) -> None:
        service.bind(ukey)
        service.bind(locked, "bob")
        service.bind(ukey, "carol", serial="ABSENT", public_key=bytes([9] * 64).hex())
        service.bind(locked, "dave", serial="SN1-forged", public_key=bytes([8] * 64).hex())
        revocation = Revocation(bytes(32).hex(), True, "", 0, "", "")
        service.revocations.append(revocation)
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
            "RemoteRefused": service.hold(uniform(service="su"), PIN, caller=SU_BY_SSH),
            "NotAllowed": service.hold(uniform("bob"), PIN, caller=LOCKER),
            "Failed": service.hold(uniform(flags=DECOY), PIN),
        }
        service.lines()
        for held in await asyncio.gather(*cases.values()):
            alike(held)
        assert reasons(service.lines()) == sorted(cases)

    async def with_a_damaged_one(service: Service) -> None:
        binding = service.bind(ukey)
        service.bind(locked, "dave", serial="SN1-forged", public_key=bytes([8] * 64).hex())
        (service.records.path / "dave").write_text("{")
        event = Revocation(binding.fingerprint, True, "", 0, "alice", "SN0")
        service.revocations.append(event)
        cases = {
            "Revoked": service.hold(uniform(), PIN),
            "RecordDamaged": service.hold(uniform("dave"), PIN),
        }
        service.lines()
        for held in await asyncio.gather(*cases.values()):
            alike(held)
        assert reasons(service.lines()) == sorted(cases)

    run_beside(tmp_path, with_whole_records, with_a_damaged_one, rules=RULES)


def test_a_throttled_ukey_looks_the_same(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for held in await asyncio.gather(*(service.hold(uniform(), WRONG) for _ in range(4))):
            alike(held)
        assert reasons(service.lines()) == ["PinWrong"] * 3 + ["Throttled"]
        assert ukey.tries_left() == 7

    run(tmp_path, scene, RULES, clock=Clock())


def test_how_long_the_ukey_takes_does_not_show(tmp_path: Path, make: Make) -> None:
    ukeys = {"alice": make(), "bob": make(1)}

    async def scene(service: Service) -> None:
        slow = {"alice": (750, 1), "bob": (1150, 2)}  #: milliseconds, and the tick after that
        for user, ukey in ukeys.items():
            service.bind(ukey, user)
            assert (await service.login(PIN, user=user)).code is Code.SUCCESS
            ukey.control.misbehave(slow=slow[user][0], ins=[0x18])
        logins = (service.hold(uniform(user), WRONG) for user in ukeys)
        for held, (_, ticks) in zip(await asyncio.gather(*logins), slow.values(), strict=True):
            alike(held, ticks)

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


def test_a_decoy_looks_up_what_a_login_does(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same work in threads and on readers, whatever ends a login: every account sees it."""
    ukey, seen = make(), list[str]()

    def record(holder: object, *names: str) -> None:
        for name in names:
            whole = getattr(holder, name)

            def noted(*args: Any, name: str = name, whole: Any = whole) -> Any:
                seen.append(name)
                return whole(*args)

            monkeypatch.setattr(holder, name, noted)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        service.bind(ukey, "carol", serial="ABSENT", public_key=bytes([9] * 64).hex())
        record(lookups, "look_up")
        record(identity, "judge", "check_revoked")
        record(service.bindings, "own", "search")
        record(service.services.ukeys, "settled", "find")
        requests = {
            "absent": (uniform("carol"), GETTY),
            "not enrolled": (uniform("root"), GETTY),
            "unknown": (uniform("mallory"), GETTY),
            "remote": (uniform(service="su"), SU_BY_SSH),
            "somebody else's": (uniform("bob"), LOCKER),
        }
        for why, (request, caller) in requests.items():
            steps = []
            for flags in (Flag.UNIFORM, DECOY):
                seen.clear()
                asked = dataclasses.replace(request, flags=flags)
                alike(await service.hold(asked, PIN, caller=caller))
                steps.append(list(seen))
            assert steps[0] == steps[1] != [], why
        assert "flags=uniform,decoy verdict=AUTH_ERR" in service.lines()[-1]

    run(tmp_path, scene, RULES)


def test_a_decoy_whose_way_is_clear_ends_all_the_same(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoy is refused whether its look-ups succeed or hit a bug."""
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        whole = authentication._ready

        async def broken(*_: object) -> None:
            raise RuntimeError

        for way in (whole, broken):
            monkeypatch.setattr(authentication, "_ready", way)
            alike(await service.hold(uniform(flags=DECOY), PIN))

    run(tmp_path, scene, RULES)


def test_how_many_log_in_at_once_does_not_show(tmp_path: Path, make: Make) -> None:
    """They wait for each other at the ukey, and only with the right password."""
    ukeys = {"alice": (make(), 0.175), "bob": (make(1), 0.35), "carol": (make(2), 0.55)}

    async def crowd(service: Service, user: str) -> None:
        ukey, seconds = ukeys[user]
        ukey.control.misbehave(slow=1000 * seconds, ins=[0x18])
        logins = [service.hold(uniform(user), WRONG) for _ in range(7)]
        for held in await asyncio.gather(*logins):
            alike(held)
        ukey.control.behave()

    async def scene(service: Service) -> None:
        for user, (ukey, _) in ukeys.items():
            service.bind(ukey, user)
        for _ in range(2):  # not known yet, and known, is how long the ukey takes
            service.lines()
            await asyncio.gather(*(crowd(service, user) for user in ukeys))
            lines = service.lines()
            for user, (_, seconds) in ukeys.items():
                why = reasons([line for line in lines if f" user={user} " in line])
                tried = why.count("PinWrong")
                fit = (module.TICK - module.MARGIN) // seconds
                assert 1 <= tried <= fit, user  # on a busy machine fewer fit
                assert why.count("DeadlinePassed") == 7 - tried, user
                assert (await service.login(PIN, user=user)).code is Code.SUCCESS

    run(tmp_path, scene, dataclasses.replace(RULES, throttle_after=9))


def test_what_comes_before_the_ukey_does_not_show(tmp_path: Path, make: Make) -> None:
    """A name service that hangs delays a login and a decoy alike."""
    ukey, hanging = make(), threading.Event()

    def resolve_slowly(name: str) -> Person:
        hanging.wait(10)
        return resolve(name)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        service.services.resolve = resolve_slowly
        both = (service.hold(uniform(flags=flags), PIN) for flags in (Flag.UNIFORM, DECOY))
        for held in await asyncio.gather(*both):
            alike(held)
        hanging.set()
        assert (await service.hold(uniform(), PIN)).code is Code.SUCCESS

    run(tmp_path, scene, RULES)


class Unspeakable(UkeyError):
    """It cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError


def test_a_bug_looks_the_same_and_is_logged_at_the_very_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the login, in its error, and in its verdict, its line and its log, which fail once."""
    of, attempt_fields = verdicts.of, audit.attempt_fields
    left = {"verdict", "line", "log"}

    def fail(where: str, user: object) -> None:
        if user == where and where in left:
            left.discard(where)
            raise RuntimeError(where)

    def failing_of(error: BaseException, texts: Texts) -> Verdict:
        fail("verdict", error.facts.get("user") if isinstance(error, UkeyError) else None)
        return of(error, texts)

    def failing_fields(attempt: Context, *more: Any) -> dict[str, object]:
        fail("line", attempt.request.user)
        return attempt_fields(attempt, *more)

    def failing_resolve(name: str) -> Person:
        if name == "login":
            raise RuntimeError(name)
        if name == "error":
            raise Unspeakable()
        return resolve(name)

    async def scene(service: Service) -> None:
        monkeypatch.setattr(verdicts, "of", failing_of)
        monkeypatch.setattr(audit, "attempt_fields", failing_fields)
        write = service.services.audit._write

        def failing_write(severity: Severity, fields: Mapping[str, object], **more: Any) -> None:
            fail("log", fields["user"])
            write(severity, fields, **more)

        monkeypatch.setattr(service.services.audit, "_write", failing_write)
        service.services.resolve = failing_resolve
        where = ("login", "error", "verdict", "line", "log")
        for held in await asyncio.gather(*(service.hold(uniform(user), PIN) for user in where)):
            alike(held)
        assert left == set()
        lines = {line.split(" user=")[1].split()[0]: line for line in service.lines()}
        assert lines.keys() == set(where)
        for line in lines.values():
            assert "event=authentication " in line
            assert " verdict=AUTH_ERR reason=" in line
            assert "RuntimeError" in line

    run(tmp_path, scene, RULES)


def test_hanging_up(tmp_path: Path, make: Make) -> None:
    """Without an answer, nothing else is seen; after one, it looks like any failure."""
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(uniform(), CANCEL)
        assert (held.code, held.verdict.error) == (Code.CONV_ERR, ErrorName.CANCELLED)
        assert held.ended - held.answered < 1

        session = service.begin(uniform())
        ukey.control.misbehave(slow=500, ins=[0x18])

        def hang_up_later() -> bytes:
            asyncio.get_running_loop().call_later(0.1, session.cancel)
            return PIN

        silent = service.hold(uniform(timeout=1), SILENCE)
        silence, held = await asyncio.gather(silent, carry(session, hang_up_later))
        assert silence.verdict == Verdict(Code.AUTH_ERR, "Authentication failed.")
        alike(held)

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
    """A person with 65,536 subordinate uids would hold as many prompts open."""

    async def scene(service: Service) -> None:
        stranger = dataclasses.replace(LOCKER, uid=100007, ruid=100007)
        held = await service.hold(uniform(), caller=stranger)
        assert held.steps == [Verdict(Code.AUTH_ERR, "Authentication failed.")]

    run(tmp_path, scene)
