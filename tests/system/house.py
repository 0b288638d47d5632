# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host under ``uniform``, and people on it whose logins fail, each for a reason of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeVar

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT
from tests.support.host import PIN, Host
from tests.support.people import User
from tests.support.stacks import Answered
from tests.support.ukeys import Softkey

STACKS = CHECKOUT / "pam.d-examples" / "debian" / "uniform"
CONFIG = "[services.sshd]\nfactors_from_afar = ['ukey']\n"

#: Answers are released at multiples of so many seconds.
TICK = 2.0
#: Seconds that a card takes for its first command, no matter which one follows.
CARD = (0.050, 0.900)
GET_PIN_INFO = 0x14

#: People who log in at a time, and ukeys of each kind among them. One person at a time has a ukey.
LANES, UKEYS = 10, 4
RIGHT, WRONG = PIN.decode(), "000000"

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


def leave_it(ukey: Softkey) -> None: ...


def lock(ukey: Softkey) -> None:
    ukey.set_tries(0)


class House:
    """A host full of people whose logins fail, each for a reason of their own."""

    def __init__(self, host: Host) -> None:
        self.host = host
        host.pcscd(slots=2 * UKEYS + 2)
        self.keyservice = host.keyservice(CONFIG)
        for service in ("login", "su", "sshd"):
            host.pam.stack(service, (STACKS / service).read_text())
        self.crowd = host.crowd()
        self.consoles = [host.console(f"tty{number}") for number in range(1, 11)]
        several = range(UKEYS)
        self.right, absent, *others = self._enrolled(
            {
                "rita": leave_it,
                "ann": Softkey.remove,
                **{f"larry{number}": lock for number in several},
                **{f"paul{number}": leave_it for number in several},
            }
        )
        locked, spending = others[:UKEYS], others[UKEYS:]
        stranger = host.user("sam", "password of sam")
        self.seats: dict[str, list[Seat]] = {
            "wrong password": [Seat(self.right.user, "wrong", RIGHT)] * LANES,
            "wrong PIN": [Seat(each.user, each.password, WRONG, each.ukey) for each in spending],
            "no ukey": [Seat(absent.user, absent.password, RIGHT)] * LANES,
            "locked PIN": locked,
            "not enrolled": [Seat(stranger, stranger.password, RIGHT)] * LANES,
        }

    def _enrolled(self, people: Mapping[str, Callable[[Softkey], object]]) -> list[Seat]:
        """People with a ukey of their own each, and what is done to it once it is bound.

        They are made side by side: each waits for pcscd's poll, and more than once.
        """
        users = [self.host.user(name, f"password of {name}") for name in people]

        def enrol(slot: int) -> Seat:
            user = users[slot]
            ukey = self.host.softkey(user.name, slot)
            self.host.bind(user, ukey)
            people[user.name](ukey)
            return Seat(user, user.password, RIGHT, ukey)

        with ThreadPoolExecutor() as pool:
            return list(pool.map(enrol, range(len(users))))

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
            # The lanes stay as far apart as they begin, so that the work of one at its release does
            # not delay another.
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
