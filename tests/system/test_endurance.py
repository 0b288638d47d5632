# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The service after many logins, and while nobody does anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from keyservice.contract.pam import PamCode
from tests.support.host import Host
from tests.support.process import Daemon, wait_until, wake_ups
from tests.support.ukeys import SLOTS, reader_name

from .conftest import CONFIG, enrol
from .people import People

#: Logins, and after how many of them each the memory is read.
LOGINS, LOGINS_SOAK = 1_000, 100_000
STEP, STEP_SOAK = 50, 1_000
AT_ONCE = 4
#: Logins at once in the beginning, so that all threads are there that the service ever starts.
CROWD = 32
#: Parts of the readings whose minima are compared: after a tenth, everything that is made only once
#: is there.
FIRST, LAST = (0.1, 0.5), (0.5, 1.0)
#: KiB by which a process may have grown: 160 bytes a login, of the 400 between the two minima.
#: Python's collector of cycles leaves garbage until its next whole round. So the service's memory
#: rises and falls like a saw, by 2 MiB in some 36,000 logins. Only across several of its teeth can
#: smaller growth be seen, of 2 bytes a login.
SLACK, SLACK_SOAK = 64, 128
#: An allocator's arena grows once, and not the next time. A leak grows each time.
ROUNDS, ROUNDS_SOAK = 3, 1
#: Seconds of idleness that are watched.
IDLE, IDLE_SOAK = 10, 300
SECONDS_PER_WAKE_UP = 10

Record = Callable[[str, object], None]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Process:
    """One process of the service, as /proc shows it."""

    pid: int
    name: str  #: service, watcher, worker of a reader

    def memory(self) -> int:
        """KiB that are its own: a leak fills these."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1])
        raise AssertionError("no Anonymous line")

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())


def processes(service: Daemon) -> list[Process]:
    """The service's own and all that it started, oldest first."""
    found, left = [], [service.pid]
    while left:
        pid = left.pop(0)
        found.append(Process(pid, _name(Path(f"/proc/{pid}/cmdline").read_text())))
        for task in Path(f"/proc/{pid}/task").iterdir():
            left += map(int, (task / "children").read_text().split())
    return found


def _name(command: str) -> str:
    *arguments, last, _ = command.split("\0")
    if "worker" in arguments:
        return f"worker of {last}"
    return "watcher" if "watcher" in arguments else "service"


def log_in(people: People, times: int, at_once: int = AT_ONCE) -> float:
    """So many logins, each by a process of its own, some at once; returns how many a second."""
    begun, running, left = time.monotonic(), {people.begin()}, times - 1
    while running:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for login in done:
            assert login.result().code is PamCode.SUCCESS
        more = min(left, at_once - len(running))
        running |= {people.begin() for _ in range(more)}
        left -= more
    return times / (time.monotonic() - begun)


def memory_of(service: Sequence[Process]) -> dict[Process, int]:
    return {each: each.memory() for each in service}


def no_more(now: dict[Process, int], before: dict[Process, int]) -> bool:
    """None has more; the first reading may have met a connection that was about to be closed."""
    return all(now[each] <= before[each] for each in before)


def descriptors_of(service: Sequence[Process]) -> dict[Process, int]:
    return {each: each.descriptors() for each in service}


@dataclass(frozen=True)
class Growth:
    """Of each process, between the first part of some logins and the last."""

    rate: float  #: logins a second
    kib: dict[Process, tuple[int, int]]  #: at first, at last

    @classmethod
    def over(cls, people: People, service: Sequence[Process], logins: int, step: int) -> Growth:
        readings, rates = [], []
        for _ in range(logins // step):
            rates.append(log_in(people, step))
            readings.append(memory_of(service))
        first, last = (
            readings[round(begin * len(readings)) : round(end * len(readings))]
            for begin, end in (FIRST, LAST)
        )
        least = {
            each: (min(one[each] for one in first), min(one[each] for one in last))
            for each in service
        }
        return cls(median(rates), least)

    @property
    def most(self) -> int:
        """The KiB of the process that grew most."""
        return max(after - before for before, after in self.kib.values())

    def __str__(self) -> str:
        told = (f"{each.name} {before} {after}" for each, (before, after) in self.kib.items())
        return f"{self.rate:.0f} a second; KiB at first and at last: {', '.join(told)}"


def test_memory_and_descriptors_are_flat(host: Host, soak: bool, record_property: Record) -> None:
    people = People(enrol(host))
    people.must_login()
    service = processes(people.enrolled.keyservice)
    descriptors = descriptors_of(service)
    logins, step, slack = (LOGINS_SOAK, STEP_SOAK, SLACK_SOAK) if soak else (LOGINS, STEP, SLACK)
    log_in(people, 2 * CROWD, CROWD)
    for _ in range(ROUNDS_SOAK if soak else ROUNDS):
        growth = Growth.over(people, service, logins, step)
        record_property("figure", f"endurance: {logins} logins, {growth}")
        if growth.most <= slack:
            break
    assert processes(people.enrolled.keyservice) == service
    assert growth.most <= slack, str(growth)
    # the last login's are closed a little later than its verdict is told
    wait_until(lambda: no_more(descriptors_of(service), descriptors), f"no more than {descriptors}")


def test_idle_it_sleeps(host: Host, soak: bool, record_property: Record) -> None:
    """On the bus, with readers, a ukey and bindings, after a login."""
    host.bus()
    people = People(enrol(host, CONFIG))
    people.must_login()
    host.authlog.wait_for("owns org.ukey.KeyService1")
    service = processes(people.enrolled.keyservice)
    workers = [f"worker of {reader_name(0)} 00 {slot:02d}" for slot in range(SLOTS)]
    assert sorted(each.name for each in service) == sorted(["service", "watcher", *workers])
    seconds = IDLE_SOAK if soak else IDLE
    time.sleep(2)  # the work that a login leaves behind is done
    before = {each: wake_ups(each.pid) for each in service}
    time.sleep(seconds)
    woken = {each.name: wake_ups(each.pid) - before[each] for each in service}
    record_property("figure", f"idle: wake-ups in {seconds} s: {woken}")
    assert sum(woken.values()) <= seconds / SECONDS_PER_WAKE_UP
    people.must_login()
    assert sum(wake_ups(each.pid) for each in service) > sum(before.values()) + sum(woken.values())
