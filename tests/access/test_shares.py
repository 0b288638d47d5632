# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The share of logins at the machine is theirs alone, and no caller shuts out another one."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access.context import Context
from keyservice.access.conversation import Caller, Request
from keyservice.access.operations import FUNCTIONS
from keyservice.access.session import Session
from keyservice.access.settings import Rules
from keyservice.access.shares import SESSIONS, Claim, Share, of_caller, of_login
from keyservice.contract import operations
from keyservice.contract.names import Code
from keyservice.contract.operations import Operation
from keyservice.contract.steps import Verdict
from keyservice.core.errors import Busy
from keyservice.core.threads import STRANGERS
from keyservice.servers.sockets import Limits
from tests.support.terminal import Terminal

from .rig import GETTY, LOCKER, LOGIND, PIN, ROOT, SSHD, SU, Service, carry, login, run

BY_SSH = login(service="sshd", tty="ssh", rhost="192.0.2.1")
BY_SU = login(service="su", tty="pts/0")
GREETER = login(service="gdm-password", tty=":0")


@pytest.fixture(autouse=True)
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login is its prompt: it is about who gets one."""

    async def ask(context: Context) -> Verdict:
        await context.conversation.ask("PIN: ")
        return Verdict(Code.SUCCESS)

    monkeypatch.setitem(FUNCTIONS, operations.AUTHENTICATION, ask)


@pytest.fixture
def terminal() -> Iterator[tuple[str, int]]:
    """(name, device number) of a console that there is."""
    console = Terminal("tty9")
    yield console.name, console.path.stat().st_rdev
    console.close()


def su(uid: int) -> Caller:
    return dataclasses.replace(SU, ruid=uid, loginuid=uid)


def fill(service: Service, caller: Caller, request: Request) -> list[Session]:
    """All the sessions that `caller` is given."""
    begun = []
    with pytest.raises(Busy):
        while True:
            begun.append(service.begin(request, caller))
    return begun


async def let_in(service: Service, caller: Caller, request: Request) -> None:
    assert (await carry(service.begin(request, caller), PIN)).code is Code.SUCCESS


def test_su_of_one_persons_thousand_uids_leaves_the_consoles_and_sshd_free(
    tmp_path: Path, terminal: tuple[str, int]
) -> None:
    name, device = terminal
    getty = dataclasses.replace(GETTY, terminal=device)

    async def scene(service: Service) -> None:
        taken = sum(len(fill(service, su(uid), BY_SU)) for uid in range(100_000, 100_004))
        assert taken == SESSIONS[Share.PEOPLE].total
        for uid in range(100_004, 101_000):
            assert fill(service, su(uid), BY_SU) == []
        await let_in(service, getty, login(tty=name))
        await let_in(service, GETTY, GREETER)
        await let_in(service, SSHD, BY_SSH)
        await let_in(service, LOCKER, login())

    run(tmp_path, scene)


def test_strangers_at_sshd_leave_everybody_else_free(
    tmp_path: Path, terminal: tuple[str, int]
) -> None:
    name, device = terminal
    getty = dataclasses.replace(GETTY, terminal=device)

    async def scene(service: Service) -> None:
        assert len(fill(service, SSHD, BY_SSH)) == SESSIONS[Share.SYSTEM].total
        await let_in(service, getty, login(tty=name))
        await let_in(service, GETTY, GREETER)
        await let_in(service, SU, BY_SU)

    run(tmp_path, scene)


def test_sshd_itself_lets_in_no_more_strangers_than_its_share_has() -> None:
    max_startups = 100  # sshd_config(5)
    assert SESSIONS[Share.SYSTEM].total > max_startups


@pytest.mark.parametrize("program", [SU, ROOT, dataclasses.replace(SU, ruid=None, loginuid=None)])
def test_one_person_does_not_use_up_what_all_people_share(tmp_path: Path, program: Caller) -> None:
    async def scene(service: Service) -> None:
        assert len(fill(service, program, BY_SU)) == SESSIONS[Share.PEOPLE].each
        for _ in range(SESSIONS[Share.PEOPLE].each):
            service.begin(BY_SU, su(1001))

    run(tmp_path, scene)


def test_an_honest_su_is_refused_only_when_all_is_taken_and_told_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(service: Service) -> None:
        begun = [*fill(service, su(1001), BY_SU), *fill(service, su(1002), BY_SU)[:-1]]
        begun[-1].cancel()
        await begun[-1].ended()
        held = service.begin(BY_SU, su(1003))
        with pytest.raises(Busy, match="Too many people are being asked for a PIN"):
            service.begin(dataclasses.replace(BY_SU, lang="en_US.UTF-8"), su(1004))
        held.cancel()
        await held.ended()
        await let_in(service, su(1004), BY_SU)

    with caplog.at_level(logging.WARNING):
        run(tmp_path, scene)
    (told,) = [text for text in caplog.messages if "refused" in text]
    assert told == "a session was refused: 64 of people are open, 64 of them of uid 1001"


def test_each_uid_has_its_own_and_all_of_them_an_end(tmp_path: Path) -> None:
    def locker(uid: int) -> Caller:
        return dataclasses.replace(LOCKER, uid=uid, ruid=uid)

    async def scene(service: Service) -> None:
        each, total = SESSIONS[Share.USERS].each, SESSIONS[Share.USERS].total
        begun = [fill(service, locker(uid), login()) for uid in range(1000, 1000 + total // each)]
        assert {len(of_one) for of_one in begun} == {each}
        assert fill(service, locker(9999), login()) == []
        begun[0][0].cancel()
        await begun[0][0].ended()
        await let_in(service, locker(9999), login())
        await let_in(service, SU, BY_SU)

    run(tmp_path, scene)


def test_one_terminal_has_a_few_of_the_consoles_share_and_then_of_the_common_one(
    tmp_path: Path, terminal: tuple[str, int]
) -> None:
    name, device = terminal
    getty = dataclasses.replace(GETTY, terminal=device)
    most = SESSIONS[Share.CONSOLE].each

    async def scene(service: Service) -> None:
        begun = [service.begin(login(tty=name), getty) for _ in range(most + 1)]
        assert [each.claim.share for each in begun] == [Share.CONSOLE] * most + [Share.SYSTEM]

    run(tmp_path, scene)


CONSOLE = ("tty1", "ttyS0", "hvc0", ":0")
#: The words and properties that somebody who is not at the machine can give a program.
PRETENDERS = {
    "su by a person": SU,
    "su by somebody who cannot be told": dataclasses.replace(SU, ruid=None, loginuid=None),
    "su of a person who claims login uid 0": dataclasses.replace(SU, loginuid=0),
    "a person's root shell": ROOT,
    "root's own shell": dataclasses.replace(GETTY, loginuid=0),
    "a program in a login session": dataclasses.replace(GETTY, logind_session="desk"),
    "a program on a terminal that is no console": dataclasses.replace(GETTY, terminal=0x8801),
    "a person's own program": LOCKER,
    "a person's own program, with no login uid": dataclasses.replace(LOCKER, loginuid=None),
}


@pytest.mark.parametrize("tty", CONSOLE)
@pytest.mark.parametrize("caller", PRETENDERS.values(), ids=PRETENDERS.keys())
def test_what_a_caller_says_opens_no_reserved_share(caller: Caller, tty: str) -> None:
    for service in ("login", "gdm-password", "sshd"):
        claim = of_login(caller, login(tty=tty, service=service), Rules().local_ttys, LOGIND)
        assert claim == of_caller(caller)
        assert claim.share in (Share.SYSTEM, Share.PEOPLE, Share.USERS)


@pytest.mark.parametrize(
    "request_",
    [
        BY_SSH,
        login(tty="tty1", rhost="192.0.2.1"),
        login(tty="pts/0"),
        login(tty=":1"),
        login(tty=""),
        Request(operations.VERIFY_PIN, "alice", tty="tty1"),
    ],
)
def test_nor_do_roots_own_programs_elsewhere(request_: Request) -> None:
    claim = of_login(SSHD, request_, Rules().local_ttys, LOGIND)
    assert claim == Claim(Share.SYSTEM)


@pytest.mark.parametrize(
    "operation", [each for each in FUNCTIONS if each.root_only], ids=lambda each: each.name
)
def test_what_root_alone_may_do_is_not_kept_out_by_people(operation: Operation) -> None:
    """A root shell of somebody's, while su and sudo have no room."""
    claim = of_login(ROOT, Request(operation, "alice"), Rules().local_ttys, LOGIND)
    assert claim == Claim(Share.SYSTEM)


def test_a_greeter_says_its_terminal_and_has_none_of_the_consoles() -> None:
    for tty in ("tty1", ":0"):
        claim = of_login(GETTY, login(tty=tty), Rules().local_ttys, LOGIND)
        assert claim == Claim(Share.GREETER, tty)


def test_look_ups_draw_on_the_same_shares(terminal: tuple[str, int]) -> None:
    name, device = terminal
    for caller, request_, person in (
        (dataclasses.replace(GETTY, terminal=device), login(tty=name), 0),
        (GETTY, GREETER, 0),
        (SSHD, BY_SSH, STRANGERS),
        (SU, BY_SU, 1000),
        (LOCKER, login(), 1000),
    ):
        claim = of_login(caller, request_, Rules().local_ttys, LOGIND)
        assert claim.originator_uid == person


def test_root_sock_takes_more_connections_than_root_has_sessions() -> None:
    """So one that holds none can always make room for the next."""
    roots = sum(limit.total for share, limit in SESSIONS.items() if share is not Share.USERS)
    assert Limits().root >= roots + 64


def test_what_is_given_back_is_all_of_it(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        most = SESSIONS[Share.PEOPLE].each, SESSIONS[Share.SYSTEM].total
        for _ in range(3):
            by_su, by_ssh = fill(service, su(1001), BY_SU), fill(service, SSHD, BY_SSH)
            assert (len(by_su), len(by_ssh)) == most
            begun = [*by_su, *by_ssh]
            for each in begun:
                each.cancel()
            await asyncio.gather(*(each.ended() for each in begun))
            assert len(service.sessions) == 0

    run(tmp_path, scene)
