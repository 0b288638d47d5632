# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Killed at any system call of a write, the store holds the old state or the new one.

strace attaches to a child that is about to write: once to list its system calls, and then once for
each call that may change something, to kill the child as it enters that call. Between two of these
calls the disk is the same. (strace counts each kind of call by itself.)
"""

from __future__ import annotations

import dataclasses
import os
import re
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.revocations import Revocation
from keyservice.store.state import State
from keyservice.store.throttle import Failures, PinName, Sent, ThrottleFile

from .conftest import binding, histories, state_of
from .losses import a_lost_end, a_record_gone

pytestmark = pytest.mark.slow

_T = TypeVar("_T")

ALICE = Person("alice", 1000)
OLD, NEW = binding("bob", 1001, "SN2", 2), binding()
EVENT = Revocation(NEW.fingerprint, True, "2026-01-02T03:04:05Z", 0, "alice", "SN1")
BACK = Revocation(NEW.fingerprint, False, "2026-01-02T03:04:06Z", 0, "alice", "SN1")
WRONG_PIN = PinName("SN1", "ukey")
BEFORE, AFTER = {WRONG_PIN: Failures(2, 0.0)}, {WRONG_PIN: Failures(3, 60.0)}
BEFORE_SENT, AFTER_SENT = {WRONG_PIN: Sent(8, 60.0)}, {WRONG_PIN: Sent(None, 120.0)}


#: The call in which the child waits until it is traced. No write makes such a call.
WAITING = ("select", "pselect6", "restart_syscall")
#: Calls that leave the disk as it is, whatever their arguments; so does an openat that creates
#: nothing. A call that is not listed here may change something.
HARMLESS = frozenset(
    {"brk", "close", "fcntl", "fstat", "futex", "getdents64", "getpid", "getrandom", "ioctl"}
    | {"lseek", "lstat", "mmap", "mprotect", "munmap", "newfstatat", "read", "rt_sigaction", "stat"}
)


@dataclass(frozen=True)
class Store:
    folder: PrivateDirectory

    @property
    def state(self) -> State:
        """As another service sees it."""
        return state_of(self.folder)

    @property
    def throttle(self) -> ThrottleFile:
        return ThrottleFile(histories(self.folder))

    def facts(self) -> tuple[bool, bool, bool]:
        """(alice is bound, her key is revoked, one of the throttle's files is the new one)."""
        state = self.state
        assert state.damage() == []
        found = state.bindings.of(ALICE)
        assert found in ((), (NEW,))
        assert state.bindings.named("bob") == (OLD,)  # who was never touched
        revoked = state.revocations.find(NEW.fingerprint) is not None
        failures = self.throttle.load()[1]
        sent = self.throttle.load_sent()[1]
        assert failures in (BEFORE, AFTER)
        assert sent in (BEFORE_SENT, AFTER_SENT)
        return found != (), revoked, failures == AFTER or sent == AFTER_SENT

    def had(self) -> bool:
        """Whether alice is known to have, or have had, a ukey."""
        return self.state.people.had(ALICE) is not None


def bind(store: Store) -> None:
    store.state.bindings.add(NEW)


def unbind(store: Store) -> None:
    store.state.bindings.remove(NEW)


def unbind_by_force(store: Store) -> None:
    state = store.state
    state.revocations.append(EVENT)
    state.bindings.remove(NEW)


def unrevoke(store: Store) -> None:
    store.state.revocations.append(BACK)


def throttle(store: Store) -> None:
    store.throttle.save("boot", AFTER)


def throttle_sent(store: Store) -> None:
    store.throttle.save_sent("boot", AFTER_SENT)


def start(store: Store) -> None:
    store.state.start()


def accept(store: Store) -> None:
    store.state.accept(0)


def nothing(store: Store) -> None: ...


def revoke(store: Store) -> None:
    store.state.revocations.append(EVENT)


def as_an_older_version_left_it(store: Store) -> None:
    bind(store)
    unbind_by_force(store)
    for file in (".witness", "../state/witness", "../state/people"):
        (store.folder.path / file).unlink()


def leftovers(store: Store) -> None:
    for number in range(3):
        (store.folder.path / f".unfinished-{number}").write_bytes(b"half")


@pytest.mark.parametrize(
    ("write", "given", "states"),
    [
        (bind, nothing, [(False, False), (True, False)]),
        (unbind, bind, [(True, False), (False, False)]),
        # never unbound and not revoked: the ukey is lost
        (unbind_by_force, bind, [(True, False), (True, True), (False, True)]),
        (unrevoke, revoke, [(False, True), (False, False)]),
        (throttle, nothing, [(False, False)]),
        (throttle_sent, nothing, [(False, False)]),
        (start, leftovers, [(False, False)]),
        (start, as_an_older_version_left_it, [(False, True)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_killed_at_every_system_call_that_may_change_something(
    tmp_path: Path,
    write: Callable[[Store], None],
    given: Callable[[Store], None],
    states: list[tuple[bool, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def made(name: str) -> Store:
        store = Store(PrivateDirectory(tmp_path / name / "records"))
        store.folder.path.parent.mkdir()
        state = store.state
        state.start()
        state.bindings.add(OLD)
        store.throttle.save("boot", BEFORE)
        store.throttle.save_sent("boot", BEFORE_SENT)
        given(store)
        return store

    store = made("whole")
    calls = traced(write, store, tmp_path / "calls")
    assert store.facts()[:2] == states[-1]

    seen, kills = {store.facts()}, 0
    for number, (call, occurrence) in enumerate(calls):
        store = made(str(number))
        inject = f"inject={call}:signal=SIGKILL:when={occurrence}"
        kills += ran(write, store, "-o", "/dev/null", "-e", inject) == -signal.SIGKILL

        facts = store.facts()
        assert facts[:2] in states
        seen.add(facts)
        assert [each for each in store.state.start() if "killed writer" not in each] == []
        assert store.facts() == facts
        # it is known who had one, whenever the writer was killed
        assert store.had() is (facts[0] or given in (bind, revoke, as_an_older_version_left_it))
        assert not list(tmp_path.glob(f"{number}/**/.unfinished*"))
        # and what was not done can be done now
        if write is bind and not facts[0]:
            write(store)
            assert store.facts()[0]
    assert {facts[:2] for facts in seen} == set(states)
    assert write not in (throttle, throttle_sent) or len(seen) == 2
    assert kills == len(calls)
    with capsys.disabled():
        print(f"\n{write.__name__}: killed at each of {kills} system calls")


def test_an_acceptance_that_was_killed_is_done_again(tmp_path: Path) -> None:
    """Until it is done the state is damaged; a revocation is in force all the while."""

    def made(name: str) -> Store:
        store = Store(PrivateDirectory(tmp_path / name / "records"))
        store.folder.path.parent.mkdir()
        store.state.start()
        bind(store)
        store.state.revocations.append(dataclasses.replace(EVENT, key="ab" * 32))
        a_lost_end(store.folder)
        a_record_gone(store.folder)
        return store

    calls = traced(accept, made("whole"), tmp_path / "calls")
    assert len(calls) >= 20
    for number, (call, occurrence) in enumerate(calls):
        store = made(str(number))
        inject = f"inject={call}:signal=SIGKILL:when={occurrence}"
        assert ran(accept, store, "-o", "/dev/null", "-e", inject) == -signal.SIGKILL
        assert store.state.damage() or store.state.revocations.find("ab" * 32) is not None
        store.state.accept(0)
        assert store.state.damage() == []
        assert store.state.revocations.find("ab" * 32) is not None
        assert store.state.bindings.of(ALICE) == ()
        assert store.had()


def traced(write: Callable[[_T], None], store: _T, log: Path) -> list[tuple[str, int]]:
    """The system calls of `write` that may change something, each with its number among the calls
    of its kind."""
    assert ran(write, store, "-o", str(log)) == 0
    counts, calls = Counter[str](), []
    for line in log.read_text().splitlines():
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if name is not None:
            counts[name[1]] += 1
            opens = name[1] == "openat" and "O_CREAT" not in line
            if name[1] not in HARMLESS and not opens:
                calls.append((name[1], counts[name[1]]))
    assert calls[-1][0] == "exit_group"
    return [call for call in calls[:-1] if call[0] not in WAITING]


def ran(write: Callable[[_T], None], store: _T, *options: str) -> int:
    """Run `write` in a child below strace with `options`: its status as subprocess gives it."""
    reading, writing = os.pipe()
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(begun, b"!")
            select.select([reading], [], [])
            write(store)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.read(ready, 1)  # now it waits, or is about to
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(child), *options], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    try:
        # strace says it when it has interrupted the child: from here on it sees each call
        assert "attached" in tracer.stderr.readline()
        os.write(writing, b"!")
        _, status = os.waitpid(child, 0)
    finally:
        for end in (reading, writing, ready, begun):
            os.close(end)
        tracer.terminate()
        tracer.communicate(timeout=10)
    return os.waitstatus_to_exitcode(status)
