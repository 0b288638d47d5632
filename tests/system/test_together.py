# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Many people, one ukey; many ukeys; and people and programs that are in each other's way."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from itertools import permutations

import pytest

from keyservice.contract.pam import PamCode
from tests.support import pcsc
from tests.support.shared_host import Shared
from tests.support.stacks import Answered
from tests.support.ukeys import SLOTS

from .people import People, settings

pytestmark = pytest.mark.slow

WRONG = "000000"
MANY = 64
#: Seconds: the least that the configuration takes.
DEADLINE = 5
#: Seconds by which an answer may come after its deadline, on a machine with other work.
GRACE = 1.0
#: Seconds between two answers, so that the first surely comes first on such a machine.
APART = 0.2
SLOW = 0.5  #: seconds that an APDU may take
#: The APDUs of a login on a ukey that is known, idle and open (test_apdus).
LOGIN = 5


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with Shared(slots=2 * SLOTS) as made:
        yield made


@contextmanager
def configured(shared: Shared, config: str) -> Iterator[People]:
    """People who have logged in once, so that the ukey is known and open."""
    with shared.test(config) as enrolled:
        made = People(enrolled)
        made.must_login()
        yield made


@pytest.fixture
def people(shared: Shared) -> Iterator[People]:
    with configured(shared, settings()) as made:
        yield made


# -- two ukeys


def test_two_ukeys_in_two_readers_work_at_the_same_time(people: People) -> None:
    demo = people.enrolled
    host, crowd = demo.host, demo.crowd
    bob, his = host.user("bob", "battery staple"), host.softkey("his", slot=SLOTS, pin=b"719365")
    assert his.reader.rpartition(" ")[0] != demo.ukey.reader.rpartition(" ")[0]
    host.bind(bob, his)
    for ukey in (demo.ukey, his):
        ukey.control.misbehave(slow=1000 * SLOW)
    both_of_them = {"demo": (demo.user, demo.pin), "bob": (bob, "719365")}

    def login(pins: dict[str, str]) -> dict[str, Answered]:
        running = {
            name: crowd.begin("login", name, [both_of_them[name][0].password, pin])
            for name, pin in pins.items()
        }
        return {name: each.result(30) for name, each in running.items()}

    both = login({name: pin for name, (_, pin) in both_of_them.items()})
    assert {answered.code for answered in both.values()} == {PamCode.SUCCESS}
    started = max(answered.answered[-1] for answered in both.values())
    ended = max(answered.ended for answered in both.values())
    assert ended - started < 1.5 * LOGIN * SLOW

    swapped = login({"demo": "719365", "bob": "719365"})
    assert swapped["demo"].code is PamCode.AUTH_ERR
    assert swapped["bob"].code is PamCode.SUCCESS
    tries = his.file.load().applications[0].user.maximum
    assert (demo.ukey.tries_left(), his.tries_left()) == (tries - 1, tries)


# -- one ukey


def test_many_logins_at_once_are_each_told_right_and_in_turn(people: People) -> None:
    """Every fourth person types a wrong PIN. They answer one after the other, and get their
    verdicts so."""
    people.card.misbehave(slow=4)
    begun = time.monotonic() + 2
    pins = [WRONG if number % 4 == 0 else people.enrolled.pin for number in range(MANY)]
    running = [people.begin(pin, begun + 0.01 * number) for number, pin in enumerate(pins)]
    all_answered = [each.result(60) for each in running]
    for pin, answered in zip(pins, all_answered, strict=True):
        assert answered.code is (PamCode.AUTH_ERR if pin == WRONG else PamCode.SUCCESS)
    ends = [
        (first.ended, second.ended)
        for first, second in permutations(all_answered, 2)
        if second.answered[-1] - first.answered[-1] > APART
    ]
    assert len(ends) > 10 * MANY
    assert all(first < second for first, second in ends)
    assert people.enrolled.ukey.tries_left() == 10


def test_nobody_waits_past_the_deadline(shared: Shared) -> None:
    """A slow ukey serves some of many people within their deadline; the others are told at that
    time."""
    with configured(shared, settings(deadline=DEADLINE)) as people:
        people.card.misbehave(slow=50)
        answered = [each.result(60) for each in [people.begin() for _ in range(MANY)]]
        codes = [each.code for each in answered]
        assert set(codes) == {PamCode.SUCCESS, PamCode.AUTHINFO_UNAVAIL}
        assert codes.count(PamCode.SUCCESS) >= DEADLINE / (LOGIN * 0.050) / 2
        assert all(each.ended < each.asked[0] + DEADLINE + GRACE for each in answered)
        people.card.behave()
        people.must_login()


# -- strangers


def test_a_stranger_who_holds_the_reader_costs_a_login_and_not_the_reader(shared: Shared) -> None:
    with configured(shared, settings(device=1)) as people:
        with pcsc.held(people.enrolled.ukey.reader):
            first = people.login()
            assert first.code is PamCode.AUTHINFO_UNAVAIL
            assert first.took < 1 + GRACE
            # Whether that PIN cost a try is not known: the ukey is asked before another one is.
            begun = time.monotonic()
            second = people.login()
            assert (second.code, second.prompts) == (PamCode.AUTHINFO_UNAVAIL, [])
            assert second.ended - begun < 1 + GRACE
        people.must_login()


def test_a_login_waits_for_a_stranger_who_lets_go_in_time(people: People) -> None:
    with pcsc.held(people.enrolled.ukey.reader):
        login = people.begin()
        assert wait([login], timeout=1).not_done
    assert login.result(30).code is PamCode.SUCCESS


def test_a_stranger_on_one_reader_is_not_in_the_way_on_another(people: People) -> None:
    enrolled = people.enrolled
    host, crowd = enrolled.host, enrolled.crowd
    bob, his = host.user("bob", "battery staple"), host.softkey("his", slot=1)
    host.bind(bob, his)
    with pcsc.held(enrolled.ukey.reader):
        waiting = crowd.begin("login", enrolled.user.name, enrolled.right)
        answered = crowd.begin("login", bob.name, [bob.password, enrolled.pin]).result(30)
        assert answered.code is PamCode.SUCCESS
        assert not waiting.done()
    assert waiting.result(30).code is PamCode.SUCCESS


def test_a_stranger_who_resets_the_card_all_the_time_lets_logins_through(people: People) -> None:
    reader, enough = people.enrolled.ukey.reader, threading.Event()

    def reset_on_and_on() -> None:
        while not enough.is_set():
            with pcsc.stranger(reader, pcsc.RESET):
                pass

    thread = threading.Thread(target=reset_on_and_on)
    thread.start()
    try:
        codes = [people.login().code for _ in range(10)]
    finally:
        enough.set()
        thread.join()
    assert PamCode.SUCCESS in codes
    people.must_login()


# -- in and out


def test_inserted_while_a_login_waits_for_it(shared: Shared) -> None:
    with shared.test(settings(wait=20)) as enrolled:
        enrolled.ukey.remove()
        terminal = enrolled.host.console()
        shell = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        terminal.start([*shell, "su", enrolled.user.name, "-c", "echo in:$(id -un)"])
        assert terminal.wait_question() == "Password:"
        terminal.answer(enrolled.user.password)
        asked_for = re.compile(rf"Insert ukey {enrolled.ukey.serial}\.")
        assert terminal.wait_question(over=asked_for) is None
        assert asked_for.search(terminal.screen)
        enrolled.ukey.control.insert()
        assert terminal.converse([enrolled.pin]) == [f"PIN of ukey {enrolled.ukey.serial}:"]
        assert f"in:{enrolled.user.name}" in terminal.screen


def test_not_inserted_while_a_login_waits_for_it(shared: Shared) -> None:
    with configured(shared, settings(wait=2)) as people:
        people.enrolled.ukey.remove()
        begun = time.monotonic()
        answered = people.login()
        took = time.monotonic() - begun
        assert answered.code is PamCode.AUTHINFO_UNAVAIL
        assert not answered.prompts
        assert 2 <= took < 10


@pytest.mark.parametrize("when", ("before", "after"))
def test_pulled_out_at_any_apdu_of_a_login_and_put_back(shared: Shared, when: str) -> None:
    with configured(shared, settings(wait=10)) as people:
        for number in range(1, LOGIN + 1):
            people.card.reset_apdus()
            people.card.misbehave(pull=when, at=number)
            with people.enrolled.ukey.pulled():
                answered = people.login()
            assert answered.code is PamCode.AUTHINFO_UNAVAIL, (number, answered)
            assert len(people.card.apdus()) >= number
            people.card.behave()
            people.card.insert()
            people.must_login()
