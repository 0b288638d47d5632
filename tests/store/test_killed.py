# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Killed at every system call of a write, the store holds the old state or the new one.

A child that is about to write is attached to by strace, once to list its system calls, and then
once for each of them to kill it as it enters that one. (strace counts each kind of call by itself.)
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keyservice.core.username import Person
from keyservice.store.bindings import Bindings
from keyservice.store.files import Folder
from keyservice.store.revocations import Revocation, Revocations
from keyservice.store.throttle import Failures, ThrottleFile

from .conftest import binding

ALICE = Person("alice", 1000)
OLD, NEW = binding("bob", 1001, "SN2", 2), binding()
EVENT = Revocation(NEW.fingerprint, True, "2026-01-02T03:04:05Z", 0, "alice", "SN1")
BACK = Revocation(NEW.fingerprint, False, "2026-01-02T03:04:06Z", 0, "alice", "SN1")
BEFORE, AFTER = {"SN1": Failures(2, 0.0)}, {"SN1": Failures(3, 60.0)}


#: What the child waits with until it is traced: seen, or over by then. No write makes such a call.
WAITING = ("select", "pselect6", "restart_syscall")


@dataclass(frozen=True)
class Store:
    folder: Folder

    @property
    def bindings(self) -> Bindings:
        return Bindings(self.folder)

    @property
    def revocations(self) -> Revocations:
        return Revocations(Folder(self.folder.path.with_name("state")))

    @property
    def throttle(self) -> ThrottleFile:
        return ThrottleFile(Folder(self.folder.path.with_name("state")))

    def prepare(self) -> list[str]:
        state = Folder(self.folder.path.with_name("state"))
        return self.folder.prepare() + state.prepare()

    def facts(self) -> tuple[bool, bool, bool]:
        """(alice is bound, her key is revoked, the throttle's file is the new one)."""
        found = self.bindings.of(ALICE)
        assert found in (None, NEW)
        assert self.bindings.named("bob") == OLD  # who was never touched
        revoked = self.revocations.find(NEW.fingerprint) is not None
        failures = self.throttle.load()[1]
        assert failures in (BEFORE, AFTER)
        return found is not None, revoked, failures == AFTER


def bind(store: Store) -> None:
    store.bindings.add(NEW)


def unbind(store: Store) -> None:
    store.bindings.remove(NEW)


def unbind_by_force(store: Store) -> None:
    store.revocations.append(EVENT)
    store.bindings.remove(NEW)


def unrevoke(store: Store) -> None:
    store.revocations.append(BACK)


def throttle(store: Store) -> None:
    store.throttle.save("boot", AFTER)


def start(store: Store) -> None:
    store.prepare()


def nothing(store: Store) -> None: ...


def half_a_line(store: Store) -> None:
    store.revocations.append(EVENT)
    path = store.folder.path.with_name("state") / "revoked"
    path.write_bytes(path.read_bytes() + b'{"version": 1, "ke')


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
        (unrevoke, half_a_line, [(False, True), (False, False)]),
        (throttle, nothing, [(False, False)]),
        (start, leftovers, [(False, False)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_killed_at_every_system_call(
    tmp_path: Path,
    write: Callable[[Store], None],
    given: Callable[[Store], None],
    states: list[tuple[bool, bool]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def made(name: str) -> Store:
        store = Store(Folder(tmp_path / name / "records"))
        store.folder.path.parent.mkdir()
        store.prepare()
        store.bindings.add(OLD)
        store.throttle.save("boot", BEFORE)
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
        store.prepare()
        assert store.facts() == facts
        assert not list(tmp_path.glob(f"{number}/*/.*"))
        # and what was not done can be done now
        if write is bind and not facts[0]:
            write(store)
            assert store.facts()[0]
    assert {facts[:2] for facts in seen} == set(states)
    assert write is not throttle or len(seen) == 2
    assert kills == len(calls)
    with capsys.disabled():
        print(f"\n{write.__name__}: killed at each of {kills} system calls")


def traced(write: Callable[[Store], None], store: Store, log: Path) -> list[tuple[str, int]]:
    """The system calls of `write`, each with the how-manieth of its kind it is."""
    assert ran(write, store, "-o", str(log)) == 0
    counts, calls = Counter[str](), []
    for line in log.read_text().splitlines():
        name = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if name is not None:
            counts[name[1]] += 1
            calls.append((name[1], counts[name[1]]))
    assert calls[-1][0] == "exit_group"
    return [call for call in calls[:-1] if call[0] not in WAITING]


def ran(write: Callable[[Store], None], store: Store, *options: str) -> int:
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
        # said when the child has been interrupted: from here on it makes no call unseen
        assert "attached" in tracer.stderr.readline()
        os.write(writing, b"!")
        _, status = os.waitpid(child, 0)
    finally:
        for end in (reading, writing, ready, begun):
            os.close(end)
        tracer.terminate()
        tracer.communicate(timeout=10)
    return os.waitstatus_to_exitcode(status)
