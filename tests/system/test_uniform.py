# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``uniform``: nobody learns which factor failed, not from what is said and not from when."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from queue import Empty, SimpleQueue
from statistics import median
from typing import TypeVar

import pytest
from scipy.stats import ks_2samp

from tests.support import CHECKOUT
from tests.support.host import PIN, Host
from tests.support.people import User
from tests.support.process import Daemon, wait_until
from tests.support.programs import Outcome
from tests.support.stacks import Answered, PamCode
from tests.support.terminal import Terminal
from tests.support.ukeys import Softkey

STACKS = CHECKOUT / "pam.d-examples" / "debian" / "uniform"
SSHD = CHECKOUT / "pam.d-examples" / "sshd_config.d" / "10-ukey.conf"
CONFIG = "[services.sshd]\nallow_remote = true\n"

#: Seconds: of what the release is a multiple, how late 99 of 100 are at most, and a single one.
TICK, LATE, ONCE_LATE = 2.0, 0.020, 0.1
#: As seldom may chance alone say that two groups differ.
P = 0.01
#: Seconds that a card takes for its first command, whichever comes after it.
CARD = (0.050, 0.900)
GET_PIN_INFO, VERIFY_PIN = 0x14, 0x18

#: People at it at a time; and ukeys of each kind among them, each in one pair of hands at a time.
LANES, UKEYS = 10, 4
RIGHT, WRONG = PIN.decode(), "000000"

#: The installed service, but for the tick.
WITHOUT_TICK = """
import sys
sys.path[:0] = ["/usr/lib/ukey", "/usr/lib/ukey/vendor"]
import keyservice.access.session
keyservice.access.session.tick = lambda answered, now: now
from keyservice.__main__ import main
raise SystemExit(main())
"""


T = TypeVar("T")


@dataclass(frozen=True)
class Seat:
    """Somebody in front of a host, and what they type."""

    user: User
    password: str
    pin: str
    ukey: Softkey | None = None

    @property
    def answers(self) -> list[str]:
        return [self.password, self.pin]


class House:
    """A host full of people whose logins fail, each for a reason of their own."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._slot = 0
        host.pcscd(slots=2 * UKEYS + 2)
        self.keyservice = host.keyservice(CONFIG)
        for service in ("login", "su", "sshd"):
            host.pam.stack(service, (STACKS / service).read_text())
        self.crowd = host.crowd()
        self.consoles = [host.console(f"tty{number}") for number in range(1, 6)]
        self.right = self._enrolled("rita")
        absent = self._enrolled("ann")
        assert absent.ukey is not None
        absent.ukey.remove()
        locked = [self._enrolled(f"larry{number}") for number in range(UKEYS)]
        for seat in locked:
            assert seat.ukey is not None
            seat.ukey.set_tries(0)
        spending = [self._enrolled(f"paul{number}") for number in range(UKEYS)]
        stranger = host.user("sam", "password of sam")
        self.seats: dict[str, list[Seat]] = {
            "wrong password": [Seat(self.right.user, "wrong", RIGHT)] * LANES,
            "wrong PIN": [Seat(each.user, each.password, WRONG, each.ukey) for each in spending],
            "no ukey": [Seat(absent.user, absent.password, RIGHT)] * LANES,
            "locked PIN": locked,
            "not enrolled": [Seat(stranger, stranger.password, RIGHT)] * LANES,
        }

    def _enrolled(self, name: str) -> Seat:
        user = self.host.user(name, f"password of {name}")
        ukey = self.host.softkey(name, self._slot)
        self._slot += 1
        self.host.bind(user, ukey)
        return Seat(user, user.password, RIGHT, ukey)

    def begin(
        self, answers: Sequence[str], seat: Seat, pace: Sequence[float] = ()
    ) -> Future[Answered]:
        return self.crowd.begin("login", seat.user.name, answers, pace=pace)

    def login(self, seat: Seat) -> Answered:
        return self.begin(seat.answers, seat).result(60)

    def give_back_tries(self, seat: Seat) -> None:
        """A right PIN does, and it ends a pause before it begins."""
        assert seat.ukey is not None
        seat.ukey.control.behave()
        answered = self.begin([seat.password, RIGHT], seat).result(60)
        assert answered.code is PamCode.SUCCESS, answered

    def attempt(self, case: str, free: SimpleQueue[Seat], card: float) -> Answered:
        """One login that fails, by a card that takes its time."""
        seat = free.get()
        try:
            if seat.ukey is not None:
                seat.ukey.control.misbehave(slow=1000 * card, ins=[GET_PIN_INFO])
            answered = self.login(seat)
            if case == "wrong PIN":
                self.give_back_tries(seat)
            return answered
        finally:
            free.put(seat)

    def attempts(self, each: int) -> dict[str, list[Answered]]:
        """`each` logins of each case, interleaved, as many at a time as there are lanes."""
        chance = random.Random(each)
        cases = [case for case in self.seats for _ in range(each)]
        chance.shuffle(cases)
        tasks = _queue_of((case, chance.uniform(*CARD)) for case in cases)
        free = {case: _queue_of(seats) for case, seats in self.seats.items()}
        groups: dict[str, list[Answered]] = {case: [] for case in self.seats}

        def keep_busy(lane: int) -> None:
            # The lanes stay as far apart as they begin: what one of them does when it is released
            # is not in another one's way.
            time.sleep(lane * TICK / LANES)
            with suppress(Empty):
                while True:
                    case, card = tasks.get_nowait()
                    groups[case].append(self.attempt(case, free[case], card))

        with ThreadPoolExecutor(LANES) as lanes:
            list(lanes.map(keep_busy, range(LANES)))
        return groups


def _queue_of(items: Iterable[T]) -> SimpleQueue[T]:
    made: SimpleQueue[T] = SimpleQueue()
    for item in items:
        made.put(item)
    return made


# -- what tells one failure from another


def differences_in_words(groups: Mapping[str, Sequence[Answered]]) -> list[str]:
    """What people read and programs get: nothing, where all groups are alike."""
    everybody = [answered for group in groups.values() for answered in group]
    seen: dict[str, set[object]] = {
        "said": {answered.said for answered in everybody},
        "codes": {answered.codes for answered in everybody},
        "a delay asked for": {answered.delay > 0 for answered in everybody},
    }
    return [f"{what}: {kinds}" for what, kinds in seen.items() if len(kinds) != 1]


@dataclass(frozen=True)
class Timing:
    """What the time from the answer to the end tells."""

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
@pytest.mark.timeout(240)
def test_no_failure_can_be_told_from_another(
    house: House, soak: bool, record_property: Record
) -> None:
    each = 300 if soak else 30
    for _ in range(2):
        groups = house.attempts(each)
        assert differences_in_words(groups) == []
        timing = Timing.of(groups)
        record_property("figure", f"uniform: {len(groups)} x {each} failing logins, {timing}")
        # Chance says once in a hundred measurements that alike groups differ, and a machine that
        # is kept busy delays some: what is there shows in the second one too.
        if timing.uniform:
            break
    assert timing.uniform, timing


@pytest.mark.alone
@pytest.mark.timeout(240)
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
    groups: dict[str, list[Answered]] = {case: [] for case in seats}
    for _ in range(6):
        slow.ukey.control.misbehave(slow=1100, ins=[VERIFY_PIN])
        running = [(case, house.begin(each.answers, each)) for case, each in 4 * [*seats.items()]]
        for case, login in running:
            groups[case].append(login.result(60))
            assert TICK <= groups[case][-1].took < 2 * TICK, case
        house.give_back_tries(slow)
    assert differences_in_words(groups) == []
    assert (timing := Timing.of(groups)).alike, timing


def test_the_decoy_sends_no_apdu(house: House) -> None:
    assert house.right.ukey is not None
    card = house.right.ukey.control
    assert house.login(house.right).code is PamCode.SUCCESS  # which opens what is to be open
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_show_the_same_whatever_failed(house: House, program: str) -> None:
    sshd = house.host.sshd(SSHD.read_text())
    with ThreadPoolExecutor(len(house.seats)) as pool:
        running = [
            pool.submit(PROGRAMS[program], house.host, seats[0], console)
            for console, seats in zip(house.consoles, house.seats.values(), strict=True)
        ]
        outcomes = [each.result() for each in running]
    sshd.stop()
    house.give_back_tries(house.seats["wrong PIN"][0])
    screens = {
        outcome.screen.replace(seats[0].user.name, "NAME")
        for outcome, seats in zip(outcomes, house.seats.values(), strict=True)
    }
    assert len(screens) == 1, screens
    assert {(outcome.allowed, len(outcome.prompts)) for outcome in outcomes} == {(False, 2)}


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
