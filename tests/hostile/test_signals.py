# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Signals while somebody logs in: from the user, from his terminal, from his timers.

Both programs keep their caller's real uid until they have authenticated, so the caller may send
them any signal. What ends the program ends the login; what does not end it changes nothing.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.support.process import HostError
from tests.support.terminal import Terminal

from .conditions import Condition
from .scene import DEADLINE, NO_PIN, PATHS, PROGRAMS, Attempt, Scene

pytestmark = pytest.mark.slow

#: Sends each of the signals to a process in turn, so many times, or until it is gone.
_STORM = """
import contextlib, os, sys, time
pid, rounds, *numbers = map(int, sys.argv[1:])
sent = 0
with contextlib.suppress(ProcessLookupError, PermissionError):
    while sent < rounds * len(numbers):
        for number in numbers:
            os.kill(pid, number)
            sent += 1
        if sent == len(numbers):
            print("begun", flush=True)
        time.sleep(0.0005)
print(sent)
"""
#: Has a timer ring once, and becomes the program.
_TIMER = """
import os, signal, sys
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""
#: Spends almost all of a second of processor time, and becomes the program.
_SPEND = """
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
while time.process_time() < float(sys.argv[1]):
    pass
os.execv(sys.argv[2], sys.argv[2:])
"""
#: Seconds of it. With the first, su is always begun.
AMOUNTS = (0.5, 0.96, 0.98, 0.99)
#: Those whose default is to do nothing, or to stop and go on.
HARMLESS = (signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG, signal.SIGSTOP, signal.SIGCONT)
DEADLY = sorted(
    set(signal.Signals)
    - {*HARMLESS, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    - {number for number in signal.Signals if number >= signal.SIGRTMIN}
)


@contextlib.contextmanager
def storm(
    scene: Scene, pid: int, numbers: Sequence[int], rounds: int = 1_000_000
) -> Iterator[list[int]]:
    """Signals of alice's, for as long as she may send them; afterwards holds how many.

    Entered when the first of each is sent.
    """
    words = [str(int(number)) for number in (pid, rounds, *numbers)]
    command = [*scene.as_alice(), sys.executable, "-I", "-c", _STORM, *words]
    sent: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            yield sent
            running.wait(10)
            sent += map(int, running.stdout.read().split())
        finally:
            running.kill()


def until_end(terminal: Terminal, act: Callable[[], None]) -> None:
    """Do `act` once a second, as people do, until the program has ended.

    sudo loses a signal that comes after its prompt and before it reads.
    """
    deadline = time.monotonic() + DEADLINE
    while terminal.status is None:
        assert time.monotonic() < deadline, terminal.screen
        act()
        with contextlib.suppress(HostError):
            terminal.wait_end(1)


def start(scene: Scene, program: str) -> Terminal:
    """The program, by alice on a terminal of hers."""
    terminal = scene.host.terminal()
    command = [word for word in scene.command(program, scene.demo) if word != "-S"]
    terminal.start([*scene.as_alice(), *command])
    return terminal


@pytest.mark.parametrize("kind", ("helpful", "uniform"))
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("right", (True, False), ids=("right", "wrong"))
def test_a_storm_of_signals_that_do_not_end_it(
    scene: Scene, kind: str, program: str, right: bool
) -> None:
    scene.stacks(kind)
    password, pin = scene.right(program)
    terminal = start(scene, program)
    terminal.wait_question()
    with storm(scene, terminal.pid, HARMLESS) as sent:
        terminal.converse([password, pin if right else "000000"], seconds=DEADLINE)
    assert sum(sent) > 2 * len(HARMLESS)
    assert scene.entered(terminal.pid) == right
    assert (terminal.status == 0) == right


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("prompt", ("password", "PIN"))
def test_whatever_ends_it_lets_nobody_in(scene: Scene, program: str, prompt: str) -> None:
    """Each deadly signal, at each of the prompts."""
    password, _ = scene.right(program)
    for number in DEADLY:
        terminal = start(scene, program)
        asked = terminal.wait_question()
        if prompt == "PIN":
            terminal.answer(password)
            asked = terminal.wait_question()
        assert asked is not None
        assert prompt in asked.replace("Password", "password")
        with storm(scene, terminal.pid, [number], rounds=30) as sent:
            terminal.converse([], seconds=DEADLINE)  # sudo lives through some
        assert sum(sent) > 0, number.name
        assert not scene.entered(terminal.pid), number.name
        # sudo catches some, and ends by itself.
        assert terminal.status in (-number, 1 if program == "sudo" else -number), number.name
    assert scene.attempt(program, Condition(), scene.right(program)).entered
    assert scene.ukeys[scene.asked(program)].tries_left() == 10


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_terminal_sends(scene: Scene, program: str) -> None:
    """^C, ^\\ and hanging up end it; a window that changes its size does not."""
    for key in ("\x03", "\x1c", None):
        terminal = start(scene, program)
        terminal.wait_question()
        act = terminal.hang_up if key is None else partial(terminal.type, key)
        until_end(terminal, act)
        assert not scene.entered(terminal.pid)
    terminal = start(scene, program)
    terminal.wait_question()

    def resized(answer: str) -> str:
        for rows in range(20, 60):
            terminal.resize(rows, 80)
        return answer

    password, pin = scene.right(program)
    terminal.converse([lambda: resized(password), lambda: resized(pin)], seconds=DEADLINE)
    assert scene.entered(terminal.pid)


def test_a_timer_that_the_program_inherits(scene: Scene) -> None:
    """It rings in whatever the program does just then."""
    password, pin = scene.right("su")

    def attempt(milliseconds: float, *answers: str) -> tuple[bool, int]:
        words = [sys.executable, "-I", "-c", _TIMER, str(milliseconds / 1000)]
        made = scene.attempt("su", Condition(via=words), answers)
        return made.entered, made.status

    delays = [2 * number for number in range(1, 16)]
    with ThreadPoolExecutor(16) as pool:
        both = list(pool.map(lambda delay: attempt(delay, password, pin), delays))
        less = list(pool.map(lambda delay: attempt(delay, password, NO_PIN), delays))
    assert not any(entered for entered, _ in less)
    assert all(entered or status == -signal.SIGALRM for entered, status in both)
    assert any(status == -signal.SIGALRM for _, status in both)


def test_a_second_of_processor_time_that_is_nearly_spent(scene: Scene) -> None:
    """It may end anywhere in su; where much is spent, before it."""
    password, pin = scene.right("su")

    def attempt(spent: float, answer: str) -> Attempt:
        words = [sys.executable, "-I", "-c", _SPEND, str(spent)]
        condition = Condition(via=words, shown={"Max cpu time": "1 1"})
        made = scene.attempt("su", condition, [password, answer])
        start = scene.watcher.start_of(made.pid, PATHS["su"])
        if spent == AMOUNTS[0] or start is not None:
            scene.check_start(made.pid, "su", condition, made.output)
            assert start is not None
            assert float(start.inherited["seconds"]) > spent - 0.03  # two ticks are cut off
        return made

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda spent: attempt(spent, pin), AMOUNTS))
        less = list(pool.map(lambda spent: attempt(spent, NO_PIN), AMOUNTS))
    assert all(made.entered or made.status == -signal.SIGKILL for made in both), both
    assert not any(made.entered for made in less)
    assert max(made.seconds for made in both + less) < DEADLINE


def test_a_storm_does_not_put_off_the_deadline(scene: Scene) -> None:
    """The keyservice hangs; each signal interrupts the wait for it, which then goes on."""
    scene.host.pam.stack("su", "auth required pam_ukey.so timeout=2\n")
    scene.keyservice.freeze()
    try:
        terminal = start(scene, "su")
        began = time.monotonic()
        with storm(scene, terminal.pid, HARMLESS) as sent:
            terminal.wait_end(DEADLINE)
        assert sum(sent) > 2 * len(HARMLESS)
        assert 1.8 < time.monotonic() - began < 10
    finally:
        scene.keyservice.thaw()
    assert not scene.entered(terminal.pid)
    assert "cannot retrieve authentication info" in terminal.screen
