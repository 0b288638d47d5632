# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""su and sudo, started in whatever way an unprivileged user can start them.

Each condition, with each stack: nobody gets in without both factors, everybody gets an answer,
and nothing of the user's is opened by root. The attempts run side by side: most of each is waiting.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from .conditions import CONDITIONS, Condition, Honest
from .scene import DEADLINE, NO_PIN, PROGRAMS, Attempt, Scene

STACKS = ("plain", "helpful", "uniform")
AT_ONCE = 32

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Started:
    """The attempts under one condition, each by one program."""

    both: Future[Attempt]
    #: those that lack something, by what they have
    less: Mapping[str, Future[Attempt]]


class Campaign:
    """Starts everything that the selected tests ask about, with one stack."""

    def __init__(self, scene: Scene, wanted: list[tuple[str, str]]) -> None:
        self.scene = scene
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._started = {
            (name, program): self._start(CONDITIONS[name], program) for name, program in wanted
        }

    def _start(self, condition: Condition, program: str) -> Started:
        password, pin = self.scene.right(program)

        def start(*answers: str) -> Future[Attempt]:
            return self._pool.submit(self.scene.attempt, program, condition, answers)

        less = {
            "the password": start(password),
            "the password and a wrong PIN": start(password, NO_PIN),
            "the PIN": start("wrong", pin),
        }
        if program == "su":
            bob = self.scene.bob
            less["the password of a break-glass member, and no console"] = self._pool.submit(
                self.scene.attempt, program, condition, [bob.password], user=bob
            )
        return Started(start(password, pin), less)

    def of(self, condition: str, program: str) -> Started:
        return self._started[condition, program]

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module", params=STACKS)
def campaign(request: pytest.FixtureRequest) -> Iterator[Campaign]:
    calls = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    wanted = [
        (str(call["condition"]), str(call["program"]))
        for call in calls
        if call["campaign"] == request.param
    ]
    with Scene() as scene:
        scene.begin(request.param)
        campaign = Campaign(scene, wanted)
        yield campaign
        campaign.end()
        check_nothing_is_left(scene)


def check_nothing_is_left(scene: Scene) -> None:
    """Nobody opened what was not attributed to an attempt; the host is as good as before."""
    assert not scene.watcher.by_root(scene.folder)
    assert not scene.bus.heard()
    assert not scene.core_files()
    for program in PROGRAMS:
        assert scene.attempt(program, Condition(), scene.right(program)).entered
    assert {ukey.tries_left() for ukey in scene.ukeys.values()} == {10}
    assert scene.keyservice.running


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition(campaign: Campaign, condition: str, program: str) -> None:
    case, started = CONDITIONS[condition], campaign.of(condition, program)
    for what, future in started.less.items():
        attempt = future.result()
        assert not attempt.entered, f"{what} let in: {attempt}"
        check(campaign.scene, case, program, attempt)
    both = started.both.result()
    check(campaign.scene, case, program, both)
    if case.expects(program) is not Honest.EITHER:
        assert both.entered == (case.expects(program) is Honest.IN), both


def check(scene: Scene, condition: Condition, program: str, attempt: Attempt) -> None:
    scene.check_start(attempt.pid, program, condition, attempt.output)
    assert attempt.seconds < DEADLINE, attempt
    opened = [each for each in scene.watcher.by_root(scene.folder) if attempt.pid in each.ancestors]
    assert not opened
    if attempt.status < 0:
        assert signal.Signals(-attempt.status) in condition.enforced_by, attempt
    elif not attempt.entered:
        assert attempt.status != 0, attempt
