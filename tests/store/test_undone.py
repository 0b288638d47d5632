# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A write that fails half-way is no loss: it keeps nobody out, and lets nobody pass."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyservice.core.errors import StoreFailed
from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.people import now
from keyservice.store.revocations import Revocation
from keyservice.store.state import State

from .conftest import binding, started, state_of

BOBS = binding("bob", 1001, "SN2", 2)
ALICE, BOB, CAROL = Person("alice", 1000), Person("bob", 1001), Person("carol", 1002)
CALLS = ("write", "fsync", "link", "rename", "unlink")
MOST = 80  #: the most calls that any of these writes makes


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, at: int, code: int, *, ever: bool) -> Iterator[Any]:
    """Call number `at` of those that change the disk fails; with `ever`, so do all later ones."""
    made: list[str] = []
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, _failing(name, getattr(os, name), made, at, code, ever=ever))
        yield made


def _failing(
    name: str, call: Callable[..., Any], made: list[str], at: int, code: int, *, ever: bool
) -> Callable[..., Any]:
    def failing_call(*args: Any, **kwargs: Any) -> Any:
        made.append(name)
        if len(made) == at or (ever and len(made) > at and name != "unlink"):
            raise OSError(code, os.strerror(code))
        return call(*args, **kwargs)

    return failing_call


@pytest.mark.parametrize("ever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_binding_that_fails_at_any_call_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, ever: bool
) -> None:
    """A real disk cannot be made to fail at each single call."""
    failed = 0
    for at in range(1, MOST):
        folder = PrivateDirectory(tmp_path / str(at) / "records")
        folder.path.parent.mkdir()
        state = started(folder)
        state.bindings.add(binding())
        with failing(monkeypatch, at, code, ever=ever) as made:
            try:
                state.bindings.add(BOBS)
            except StoreFailed:
                failed += 1
        for each in (state, state_of(folder)):
            told(each, at, made)
        if len(made) < at:
            break
    else:
        pytest.fail("a binding makes more calls than that")
    assert failed > 5


# -- what root does otherwise can be done again, and lets nobody pass before


def remove(state: State) -> None:
    if state.bindings.named("bob") != ():
        state.bindings.remove(BOBS)


def revoke(state: State) -> None:
    state.revocations.append(Revocation(BOBS.fingerprint, True, now(), 0, "bob", "SN2"))


def give_up(state: State) -> None:
    """As ``rmpubkey --force``."""
    revoke(state)
    remove(state)


def discard(state: State) -> None:
    """The same for a record that cannot be read."""
    revoke(state)
    state.bindings.discard("bob")


def accept(state: State) -> None:
    state.accept(0)


def forget(state: State) -> None:
    state.forget("bob", 1001, 0)


@dataclass(frozen=True)
class Deed:
    do: Callable[[State], None]
    before: Callable[[State, Path], object] = lambda state, record: None
    damaged: bool = False  #: before it is done


DEEDS = {
    "unbind": Deed(remove),
    "revoke": Deed(revoke),
    "give up": Deed(give_up),
    "discard": Deed(discard, lambda state, record: record.write_bytes(b"{"), damaged=True),
    "accept": Deed(accept, lambda state, record: record.unlink(), damaged=True),
    "forget": Deed(forget, lambda state, record: remove(state)),
}


@pytest.mark.parametrize("ever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", DEEDS)
def test_what_fails_at_any_call_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ever: bool
) -> None:
    deed, failed = DEEDS[name], 0
    for at in range(1, MOST):
        folder = PrivateDirectory(tmp_path / str(at) / "records")
        folder.path.parent.mkdir()
        state = started(folder)
        for each in (binding(), BOBS):
            state.bindings.add(each)
        deed.before(state, folder.path / "bob")
        with failing(monkeypatch, at, errno.EIO, ever=ever) as made:
            try:
                deed.do(state)
            except StoreFailed:
                failed += 1
        where = f"failed at call {at}: {made}"
        for seen in (state, state_of(folder)):
            damaged = bool(seen.damage())
            assert deed.damaged or not damaged, where
            if not damaged and seen.bindings.of(BOB) == () and name != "forget":
                assert seen.people.had(BOB) is not None, where
        again = state_of(folder)
        again.start()
        deed.do(again)
        assert again.damage() == [], where
        assert again.bindings.of(ALICE) == (binding(),), where
        if len(made) < at:
            break
    else:
        pytest.fail("it makes more calls than that")
    assert failed > 3


def told(state: State, at: int, made: list[str]) -> None:
    """Check that nothing is gone or damaged, and that bob has a ukey, or can have one bound."""
    where = f"failed at call {at}: {made}"
    state.start()
    assert state.damage() == [], where
    assert state.bindings.of(ALICE) == (binding(),), where
    assert state.bindings.of(CAROL) == (), where
    assert state.bindings.of(BOB) in ((), (BOBS,)), where
