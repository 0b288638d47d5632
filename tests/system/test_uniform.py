# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``uniform``: nobody learns which factor failed, neither from the words nor from the time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import pytest
from scipy.stats import ks_2samp

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT
from tests.support.enrolled import UKEY_HERE
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import Daemon, wait_until
from tests.support.programs import Outcome
from tests.support.stacks import Answered
from tests.support.terminal import Terminal

from .house import CONFIG, RIGHT, TICK, House, Seat

pytestmark = pytest.mark.slow

SSHD = CHECKOUT / "pam.d-examples" / "sshd_config.d" / "10-ukey.conf"

#: Seconds after the tick: at most so late are 99 of 100, and at most so late is a single one.
LATE, ONCE_LATE = 0.020, 0.1
#: How rarely chance alone may say that two groups differ.
P = 0.01
VERIFY_PIN = 0x18

#: The installed service, but for the tick.
WITHOUT_TICK = """
import sys
sys.path[:0] = ["/usr/lib/ukey", "/usr/lib/ukey/vendor"]
import keyservice.access.session
keyservice.access.session.tick = lambda answered, now: now
from keyservice.__main__ import main
raise SystemExit(main())
"""


# -- what tells one failure from another


def differences_in_words(groups: Mapping[str, Sequence[Answered]]) -> list[str]:
    """The differences in what people read and programs get: none, if all groups are alike."""
    everybody = [answered for group in groups.values() for answered in group]
    seen: dict[str, set[object]] = {
        "said": {answered.said for answered in everybody},
        "codes": {answered.codes for answered in everybody},
        "a delay asked for": {answered.delay > 0 for answered in everybody},
    }
    return [f"{what}: {kinds}" for what, kinds in seen.items() if len(kinds) != 1]


@dataclass(frozen=True)
class Timing:
    """The facts that the time from the answer to the end tells."""

    late: float  #: seconds after the tick, of the 99th in a hundred
    p: float  #: the least of all pairs' Kolmogorov-Smirnov p, times the number of pairs

    @classmethod
    def of(cls, groups: Mapping[str, Sequence[Answered]]) -> Timing:
        late = sorted(answered.took % TICK for group in groups.values() for answered in group)
        pairs = list(combinations(groups.values(), 2))
        least = min(
            ks_2samp([each.took for each in one], [each.took for each in other]).pvalue
            for one, other in pairs
        )
        return cls(late[math.ceil(0.99 * len(late)) - 1], min(1.0, float(least) * len(pairs)))

    @property
    def uniform(self) -> bool:
        return self.on_the_tick and self.alike

    @property
    def on_the_tick(self) -> bool:
        return self.late <= LATE

    @property
    def alike(self) -> bool:
        return self.p > P

    def __str__(self) -> str:
        return f"p99 {1000 * self.late:.1f} ms after the tick, Kolmogorov-Smirnov p {self.p:.2g}"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with Host() as host:
        yield House(host)


Record = Callable[[str, object], None]


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_no_failure_can_be_told_from_another(
    house: House, soak: bool, record_property: Record
) -> None:
    each = 300 if soak else 30
    for _ in range(2):
        groups = house.attempts(each)
        assert differences_in_words(groups) == []
        timing = Timing.of(groups)
        record_property("figure", f"uniform: {len(groups)} x {each} failing logins, {timing}")
        # Chance says once in a hundred measurements that alike groups differ, and a busy machine
        # delays some: a real difference shows in the second one too.
        if timing.uniform:
            break
    assert timing.uniform, timing


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_without_the_tick_the_same_test_fails(house: House, record_property: Record) -> None:
    house.keyservice.stop()
    program = ("/usr/bin/python3", "-I", "-c", WITHOUT_TICK)
    house.keyservice = house.host.keyservice(CONFIG, program=program)
    try:
        groups = house.attempts(30)
    finally:
        house.keyservice.stop()
        house.keyservice = house.host.keyservice(CONFIG)
    timing = Timing.of(groups)
    record_property("figure", f"without the tick: {timing}")
    assert differences_in_words(groups) == []
    assert not timing.on_the_tick
    assert not timing.alike


@pytest.mark.alone
def test_how_many_log_in_at_once_tells_nothing(house: House) -> None:
    """They wait for each other at a slow ukey, if the password was right."""
    seats = {case: house.seats[case][0] for case in ("wrong PIN", "wrong password")}
    slow = seats["wrong PIN"]
    assert slow.ukey is not None
    for _ in range(2):  # chance, as above
        groups: dict[str, list[Answered]] = {case: [] for case in seats}
        for _ in range(6):
            slow.ukey.control.misbehave(slow=1100, ins=[VERIFY_PIN])
            begun = [(case, house.begin(each.answers, each)) for case, each in 4 * [*seats.items()]]
            for case, login in begun:
                groups[case].append(login.result(60))
                assert TICK <= groups[case][-1].took < 2 * TICK, case
            house.give_back_tries(slow)
        assert differences_in_words(groups) == []
        timing = Timing.of(groups)
        if timing.alike:
            break
    assert timing.alike, timing


def test_the_decoy_sends_no_apdu(house: House) -> None:
    assert house.right.ukey is not None
    card = house.right.ukey.control
    assert house.login(house.right).code is PamCode.SUCCESS  # this opens what has to be open
    card.reset_apdus()
    decoy = house.seats["wrong password"][0]
    assert house.login(decoy).code is PamCode.AUTH_ERR
    assert card.apdus() == []
    assert house.login(house.right).code is PamCode.SUCCESS
    assert len(card.apdus()) == 5


# -- real programs


def by_su(host: Host, seat: Seat, console: Terminal) -> Outcome:
    return host.su(seat.user, seat.answers, terminal=console)


def by_login(host: Host, seat: Seat, console: Terminal) -> Outcome:
    return host.login(seat.user, seat.answers, terminal=console)


def by_ssh(host: Host, seat: Seat, console: Terminal) -> Outcome:
    return host.ssh(seat.user, seat.answers)


Program = Callable[[Host, Seat, Terminal], Outcome]
PROGRAMS: dict[str, Program] = {"su": by_su, "login": by_login, "ssh": by_ssh}


def test_programs_show_the_same_whatever_failed(house: House) -> None:
    """Side by side: each program, and each reason."""
    sshd = house.host.sshd(UKEY_HERE + SSHD.read_text())
    consoles = iter(house.consoles)

    def begin(pool: ThreadPoolExecutor, name: str) -> dict[User, Future[Outcome]]:
        number = list(PROGRAMS).index(name)  # so that no two people have one ukey
        return {
            seats[number].user: pool.submit(
                PROGRAMS[name],
                house.host,
                seats[number],
                next(consoles) if name != "ssh" else house.consoles[0],
            )
            for seats in house.seats.values()
        }

    with ThreadPoolExecutor(len(PROGRAMS) * len(house.seats)) as pool:
        running = {name: begin(pool, name) for name in PROGRAMS}
    sshd.stop()
    for number in range(len(PROGRAMS)):
        house.give_back_tries(house.seats["wrong PIN"][number])
    for name, logins in running.items():
        outcomes = {user.name: login.result() for user, login in logins.items()}
        screens = {each.screen.replace(user, "NAME") for user, each in outcomes.items()}
        assert len(screens) == 1, (name, screens)
        shown = {(outcome.allowed, len(outcome.prompts)) for outcome in outcomes.values()}
        assert shown == {(False, 2)}, name


# -- without a keyservice


@pytest.fixture
def killed(house: House) -> Iterator[Daemon]:
    """The keyservice, for a test that ends it; there is a new one afterwards."""
    yield house.keyservice
    if not house.keyservice.running:
        house.keyservice.stop()
        house.keyservice = house.host.keyservice(CONFIG)


@pytest.mark.alone
def test_with_the_keyservice_down_the_decoy_and_the_real_line_are_alike(
    house: House, killed: Daemon
) -> None:
    killed.stop()
    seats = {"decoy": house.seats["wrong password"][0], "right": house.right}
    groups = {name: [house.login(seat) for _ in range(5)] for name, seat in seats.items()}
    assert groups["decoy"][0].code is PamCode.AUTH_ERR
    assert groups["decoy"][0].prompts == ["Password: "]
    assert differences_in_words(groups) == []
    assert max(median(each.took for each in group) for group in groups.values()) < LATE


def test_killed_at_the_prompt_the_decoy_and_the_real_line_are_alike(
    house: House, killed: Daemon
) -> None:
    standing = threading.Barrier(2, killed.kill, 30)

    def su(password: str, console: Terminal) -> Outcome:
        def answer_after_the_kill() -> str:
            standing.wait()
            return RIGHT

        return house.host.su(house.right.user, [password, answer_after_the_kill], terminal=console)

    with ThreadPoolExecutor(2) as pool:
        decoy = pool.submit(su, "wrong", house.consoles[0])
        right = pool.submit(su, house.right.password, house.consoles[1])
        outcomes = [decoy.result(), right.result()]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].code is PamCode.AUTH_ERR
    assert len(outcomes[0].prompts) == 2


@pytest.mark.alone
def test_killed_after_the_answer_the_decoy_and_the_real_line_are_alike(
    house: House, killed: Daemon
) -> None:
    decoy, right = house.seats["wrong password"][0], house.right
    assert right.ukey is not None
    card = right.ukey.control
    card.reset_apdus()
    card.misbehave(slow=1000, ins=[VERIFY_PIN])  # the kill comes in it, long before the tick
    pace = [0.0, time.monotonic() + 0.5]
    running = {
        name: house.begin(seat.answers, seat, pace)
        for name, seat in (("decoy", decoy), ("right", right))
    }
    wait_until(lambda: len(card.apdus()) > 0, "the ukey asked")
    killed.kill()
    groups = {name: [login.result(30)] for name, login in running.items()}
    card.behave()
    assert differences_in_words(groups) == []
    assert groups["decoy"][0].code is PamCode.AUTH_ERR
    assert abs(groups["decoy"][0].ended - groups["right"][0].ended) < ONCE_LATE
