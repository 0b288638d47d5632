# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whole processes, timed one at a time and in turn."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Login

#: Seconds after which a run is killed, and the measurement given up.
RUN_DEADLINE = 30


class RunFailed(Exception):
    """A timed run did not end as a right login ends."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table: a PAM service that lets `user` in, given the `answers`."""

    key: str
    title: str
    service: str
    user: str
    answers: bytes = b""
    items: Mapping[str, str] = field(default_factory=dict)  #: PAM items, such as tty
    env: Mapping[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        items = [f"-I{name}={value}" for name, value in self.items.items()]
        return ["/usr/bin/pamtester", *items, self.service, self.user, "authenticate"]


def prove(contender: Contender, workdir: Path) -> None:
    """Raise :class:`RunFailed` if a login with a wrong PIN gets in: it would be no full login."""
    if not contender.answers:
        return
    answers = workdir / "wrong-answers"
    answers.touch(mode=0o600)
    answers.write_bytes(bytes(reversed(contender.answers.strip())) + b"\n")
    try:
        run_once(contender, answers, workdir / "output")
    except RunFailed:
        return
    raise RunFailed(f"{contender.key}: a wrong PIN gets in")


def run_once(contender: Contender, answers: Path, output: Path) -> float:
    """Milliseconds from the start of ``pamtester`` to its end.

    `answers` is the file that it reads them from; `output` keeps what it says. Raises
    :class:`RunFailed` unless the login was a right one.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(answers), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    argv = contender.argv()
    start = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, dict(contender.env), file_actions=actions)
    status = _wait(pid)
    took = (time.perf_counter_ns() - start) / 1e6
    if status != 0:
        said = output.read_text(errors="replace").strip()
        raise RunFailed(f"{contender.key}: exit status {status}: {said}")
    return took


def _wait(pid: int) -> int:
    """The exit status, negative for a signal; the process is killed at the deadline."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(RUN_DEADLINE * 1000):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(descriptor)


def interleave(
    contenders: Sequence[Contender], rounds: int, workdir: Path, *, warm_up: int = 3, seed: int = 1
) -> list[Login]:
    """Each contender's logins, `rounds` of each, in a new order in every round.

    Each round runs every contender once, so that whatever else the machine does falls on all
    of them alike; a first `warm_up` rounds are not counted.
    """
    files = {}
    for contender in contenders:
        files[contender.key] = workdir / f"{contender.key}.answers"
        files[contender.key].touch(mode=0o600)
        files[contender.key].write_bytes(contender.answers)
    samples: dict[str, list[float]] = {contender.key: [] for contender in contenders}
    order, rng = list(contenders), random.Random(seed)
    for number in range(warm_up + rounds):
        rng.shuffle(order)
        for contender in order:
            took = run_once(contender, files[contender.key], workdir / "output")
            if number >= warm_up:
                samples[contender.key].append(took)
    return [Login(one.key, one.title, samples[one.key]) for one in contenders]
