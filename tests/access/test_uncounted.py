# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Attacks on the count of wrong PINs: seven guesses, in every way that could hide one.

Each ends with the pause after the third. Beside each there is an honest owner whose ukey or host
fails in the same way: they never have to pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import lookups
from keyservice.access.context import Context
from keyservice.access.conversation import Caller, Request
from keyservice.access.session import Session
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Prompt, Verdict
from keyservice.core.secret import Secret
from tests.softkey.state import new
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import (
    ADMIN_PIN,
    GETTY,
    LOCKER,
    MOMENT,
    NEW,
    PIN,
    ROOT,
    SU,
    WRONG,
    Service,
    login,
    refused,
    run,
    uniform,
)

GUESSES, COUNTED = 7, 3
VERIFY_PIN, UNBLOCK_PIN, GEN_RANDOM = 0x18, 0x1A, 0x50
RULES = Rules(allow_virtual_readers=True, wait_for_ukey=0)
#: Seconds that a session has left when its PIN is sent, if the caller asked for few.
HASTY = 0.4


async def answered(session: Session, *answers: bytes) -> Session:
    """Give each prompt its answer; return after the last, or when there are no more prompts."""
    for answer in answers:
        while not isinstance(step := await session.next_step(), Prompt):
            if isinstance(step, Verdict):
                return session
        session.answer(Secret(answer))
    return session


async def guess(
    service: Service,
    request: Request | None = None,
    *answers: bytes,
    caller: Caller = GETTY,
) -> None:
    """Send a wrong PIN, if it is asked for, and wait until that has ended, but not for a tick."""
    session = service.begin(request or login(), caller)
    await (await answered(session, *(answers or (WRONG,)))).ended()


async def guess_in_haste(service: Service, pin: bytes = WRONG) -> None:
    """The same, in a session whose deadline is close once it has its answer.

    No caller's timeout is as exact: nobody knows how long a busy machine takes to the prompt.
    """
    real, soon = lookups.deadline, asyncio.get_running_loop().time

    def deadline(context: Context) -> float:
        return min(real(context), soon() + HASTY)

    session = service.begin(login())
    if isinstance(await session.next_step(), Prompt):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lookups, "deadline", deadline)
            session.answer(Secret(pin))
            await session.ended()


async def at_work(ukey: Softkey, ins: int) -> None:
    """Wait until the ukey has got the command `ins`."""
    async with asyncio.timeout(10):
        while all(each != ins for each, _ in ukey.control.apdus()):
            await asyncio.sleep(MOMENT)


async def paused(service: Service, ukey: Softkey) -> None:
    """Check that no more tries were spent than are counted, and that no PIN is taken now."""
    ukey.control.behave()
    refused(await service.login(), Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
    assert ukey.tries_left() == 10 - COUNTED


# -- what hides the outcome of one


async def no_sense(service: Service, ukey: Softkey) -> None:
    """A status word that tells nothing about the PIN."""
    ukey.control.misbehave(sw=0x6F00, ins=[VERIFY_PIN])
    await guess(service)


async def hanging_up(service: Service, ukey: Softkey) -> None:
    """Nobody waits for the answer, which makes no sense either."""
    ukey.control.misbehave(slow=30, sw=0x6F00, ins=[VERIFY_PIN])
    ukey.control.reset_apdus()
    session = await answered(service.begin(login()), WRONG)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await at_work(ukey, VERIFY_PIN)
    session.cancel()
    await session.ended()


async def pulling(service: Service, ukey: Softkey) -> None:
    """The ukey is out before its answer is in, and back."""
    with ukey.pulled():
        ukey.control.misbehave(pull="after", ins=[VERIFY_PIN])
        await guess(service)
        ukey.control.remove()  # where no PIN was taken
    ukey.control.behave()
    await service.put_in(ukey)


async def two_at_once(service: Service, ukey: Softkey) -> None:
    """One reads the tries before the other's PIN gets there."""
    ukey.control.misbehave(slow=10, sw=0x6F00, ins=[VERIFY_PIN])
    await asyncio.gather(guess(service), guess(service, caller=SU))


@pytest.mark.parametrize("known", [False, True], ids=["at first", "later"])
@pytest.mark.parametrize("attack", [no_sense, hanging_up, pulling, two_at_once])
def test_a_wrong_pin_counts_whatever_hides_its_outcome(
    tmp_path: Path,
    ukey: Softkey,
    attack: Callable[[Service, Softkey], Awaitable[None]],
    known: bool,
) -> None:
    """`known`: the tries were, before the first of them."""

    async def scene(service: Service) -> None:
        service.bind(ukey)
        if known:
            assert (await service.login(PIN)).code is Code.SUCCESS
        for _ in range(GUESSES):
            await attack(service, ukey)
        await paused(service, ukey)

    run(tmp_path, scene, RULES)


def test_a_deadline_too_short_for_the_answer_hides_no_wrong_pin(
    tmp_path: Path, ukey: Softkey
) -> None:
    """The worker that sent it is killed; the next one reads the tries, when the ukey is done."""

    async def scene(service: Service) -> None:
        service.bind(ukey)
        ukey.control.misbehave(slow=1000 * HASTY + 100, ins=[VERIFY_PIN])
        async with asyncio.timeout(40):  # some may end before they got so far
            while ukey.tries_left() > 10 - COUNTED:
                await guess_in_haste(service)
        for _ in range(GUESSES - COUNTED):
            await guess_in_haste(service)
        await paused(service, ukey)

    run(tmp_path, scene, RULES)


# -- by every operation that takes a PIN

NO_SENSE = {"sw": 0x6F00, "ins": [VERIFY_PIN, UNBLOCK_PIN]}


@pytest.mark.parametrize(
    ("request_", "caller", "bound"),
    [
        (login(), SU, True),
        (login(service="ukey-locker"), LOCKER, True),
        (uniform(), GETTY, True),
        (Request(operations.VERIFY_PIN), LOCKER, True),
        (Request(operations.VERIFY_PIN, serial="SN0"), ROOT, True),
        (Request(operations.CHANGE_PIN), LOCKER, True),
        (Request(operations.CHANGE_PIN, "alice", service="passwd"), ROOT, True),
        (Request(operations.UNBIND, "alice"), ROOT, True),
        (Request(operations.BIND, "alice"), ROOT, False),
        (Request(operations.BIND, "alice", container="new", flags=Flag.GENERATE), ROOT, False),
    ],
    ids=lambda value: value.operation.name if isinstance(value, Request) else "",
)
def test_a_wrong_pin_counts_by_every_operation(
    tmp_path: Path, ukey: Softkey, request_: Request, caller: Caller, bound: bool
) -> None:
    async def scene(service: Service) -> None:
        if bound:
            service.bind(ukey)
        ukey.control.misbehave(**NO_SENSE)
        answers = (WRONG, NEW, NEW) if request_.operation is operations.CHANGE_PIN else (WRONG,)
        for _ in range(GUESSES):
            await guess(service, request_, *answers, caller=caller)
        if not bound:
            service.bind(ukey)
        await paused(service, ukey)

    run(tmp_path, scene)


@pytest.mark.parametrize("faults", [{}, NO_SENSE], ids=["told", "hidden"])
def test_the_admin_pin_pauses_like_any_other(
    tmp_path: Path, ukey: Softkey, faults: dict[str, Any]
) -> None:
    def left() -> Any:
        return ukey.control.status()["applications"][0]["admin"]["left"]

    async def scene(service: Service) -> None:
        service.bind(ukey)
        unblock = Request(operations.UNBLOCK_PIN, serial="SN0")
        ukey.control.misbehave(**faults)
        for _ in range(GUESSES):
            await guess(service, unblock, WRONG, NEW, NEW, caller=ROOT)
        assert left() == 10 - COUNTED
        assert sum("event=unblock-pin" in line for line in service.lines()) == GUESSES
        ukey.control.behave()
        held = await service.hold(unblock, caller=ROOT)
        refused(held, Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        assert (await service.login(PIN)).code is Code.SUCCESS  # which is another PIN
        held = await service.hold(unblock, caller=ROOT)
        refused(held, Code.MAXTRIES, ErrorName.THROTTLED, asked=False)
        service.clock.seconds += 60
        held = await service.hold(unblock, ADMIN_PIN, NEW, NEW, caller=ROOT)
        assert held.code is Code.SUCCESS

    run(tmp_path, scene)


# -- by a second application, whose PIN somebody knows


@pytest.fixture
def two(make: Make) -> Softkey:
    """A ukey with two applications."""
    ukey = make()
    ukey.remove()
    ukey.close()
    made = ukey.file.load()
    (other,) = new(application="other", pin=NEW, admin_pin=ADMIN_PIN).applications
    other.ident = bytes.fromhex("0902")
    made.applications.append(other)
    ukey.file.write(made)
    ukey.start()
    ukey.wait_seen()
    return ukey


@pytest.mark.parametrize("restarted", [False, True])
def test_another_applications_right_pin_ends_no_count(
    tmp_path: Path, two: Softkey, restarted: bool
) -> None:
    other = Request(operations.VERIFY_PIN, application="other")

    async def guesses(service: Service) -> None:
        for _ in range(2 if restarted else GUESSES):
            await guess(service)
            assert (await service.hold(other, NEW, caller=LOCKER)).code is Code.SUCCESS

    async def begin(service: Service) -> None:
        service.bind(two)
        await guesses(service)

    async def end(service: Service) -> None:
        await guesses(service)
        await paused(service, two)

    if restarted:
        run(tmp_path, begin)
        run(tmp_path, end)
    else:

        async def all_of_it(service: Service) -> None:
            await begin(service)
            await paused(service, two)

        run(tmp_path, all_of_it)


def test_an_application_by_another_spelling_is_none(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ukey that opens its application by another spelling too has no more counts for that."""
    from tests.softkey import applications

    exact = applications.decode_name
    monkeypatch.setattr(applications, "decode_name", lambda *field: exact(*field).lower())

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for name in ("UKEY", "Ukey", "uKey", "ukEy"):
            named = Request(operations.VERIFY_PIN, application=name)
            held = await service.hold(named, caller=LOCKER)
            assert held.verdict.error is ErrorName.NO_KEY_PAIR
        assert ukey.tries_left() == 10

    run(tmp_path, scene)


# -- honest owners


async def fails_before(service: Service, ukey: Softkey) -> None:
    ukey.control.misbehave(sw=0x6F00, ins=[GEN_RANDOM])
    assert (await service.login(PIN)).verdict.error is ErrorName.UKEY_FAILED
    ukey.control.behave()


async def mute(service: Service, ukey: Softkey) -> None:
    with ukey.pulled():
        ukey.control.misbehave(mute=True, ins=[GEN_RANDOM])
        await guess_in_haste(service, PIN)
        assert "DeadlinePassed" in service.lines()[-1]
        ukey.control.remove()
    ukey.control.behave()
    await service.put_in(ukey)


async def wrong_signature(service: Service, ukey: Softkey) -> None:
    ukey.control.misbehave(signature="flipped")
    assert (await service.login(PIN)).verdict.error is ErrorName.SIGNATURE_WRONG
    ukey.control.behave()


@pytest.mark.parametrize("failure", [fails_before, mute, wrong_signature])
def test_an_honest_owner_of_a_ukey_that_fails_never_pauses(
    tmp_path: Path, ukey: Softkey, failure: Callable[[Service, Softkey], Awaitable[None]]
) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        await guess(service)  # honest people mistype, too
        for _ in range(COUNTED + 1):
            await failure(service, ukey)
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene, RULES)


def test_a_decoy_spends_nothing_and_counts_nothing(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(GUESSES):
            await guess(service, uniform(flags=Flag.UNIFORM | Flag.DECOY))
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)
