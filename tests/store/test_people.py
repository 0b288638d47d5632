# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who had a ukey; and what is lost, accepted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from keyservice.core.errors import AlreadyBound, NotEnrolled, RecordDamaged
from keyservice.core.username import Person
from keyservice.store import people
from keyservice.store.files import PrivateDirectory
from keyservice.store.people import Kind
from keyservice.store.state import State

from .conftest import binding, started, state_of
from .losses import (
    ALICE,
    BOB,
    CAROL,
    HERS,
    KEY,
    LOST,
    OTHER,
    a_lost_end,
    all_records_gone,
    event,
    half_a_line_lost,
    known,
    people_cut,
    places,
    revoked,
    without_what_is_known,
)

# -- accepted as it is


@pytest.mark.parametrize("lose", LOST)
def test_what_is_accepted_is_right_from_then_on(
    full: PrivateDirectory, lose: Callable[[PrivateDirectory], None]
) -> None:
    lose(full)
    damaged = places(state_of(full).damage())
    accepted = state_of(full).accept(1000)
    assert places(accepted) >= damaged - {"records", "state"}
    state = started(full)
    assert state.bindings.of(CAROL) == ()
    state.bindings.add(binding("carol", 1002, "SN3", 3))
    state.revocations.append(event("ef" * 32))
    last = json.loads(known(full).read_text().splitlines()[-2])
    assert (last["event"], last["by"]) == ("accepted", 1000)
    assert started(full).accept(0) == []


def test_whose_record_is_given_up_still_had_a_ukey(full: PrivateDirectory) -> None:
    all_records_gone(full)
    state = state_of(full)
    assert places(state.accept(0)) >= {"alice", "bob"}
    for person in (ALICE, BOB):
        assert state.bindings.of(person) == ()
        assert state.people.had(person) is not None
    assert state.people.had(CAROL) is None


def test_a_revocation_that_lost_its_end_stays_in_force(full: PrivateDirectory) -> None:
    a_lost_end(full)
    state = state_of(full)
    state.accept(0)
    assert state.revocations.find(OTHER) is not None
    half_a_line_lost(full)
    state = state_of(full)
    state.accept(0)
    assert state.revocations.find(OTHER) is None
    assert state.revocations.find(KEY) is not None


def test_what_cannot_be_read_is_not_accepted(full: PrivateDirectory) -> None:
    for path in (revoked(full), known(full)):
        whole = path.read_bytes()
        path.write_bytes(b"?\n" + whole)
        with pytest.raises(RecordDamaged, match="line 1"):
            state_of(full).accept(0)
        assert path.read_bytes() == b"?\n" + whole
        assert state_of(full).damage()
        path.write_bytes(whole)
    started(full)


def test_a_damaged_record_is_not_accepted(full: PrivateDirectory) -> None:
    (full.path / "alice").write_bytes(b"?")
    assert state_of(full).accept(0) == []
    assert places(state_of(full).damage()) == {"alice"}


# -- who had a ukey


def test_unbinding_leaves_a_trace_that_only_forgetting_removes(full: PrivateDirectory) -> None:
    state = started(full)
    state.bindings.remove(HERS, by=1000)
    trace = state.people.had(ALICE)
    assert trace is not None
    assert (trace.event, trace.serial, trace.by) == (Kind.UNBOUND, "SN1", 1000)
    for same in (Person("alice", 2000), Person("renamed", 1000)):
        assert state.people.had(same) == trace
    state.bindings.add(HERS)
    state.bindings.remove(HERS)
    assert state.people.had(ALICE) is not None, "nor does binding again"
    assert [each.serial for each in state.forget("alice", 1000, 0)] == ["SN1"]
    state = started(full)
    assert state.people.had(ALICE) is None
    assert state.forget("alice", 1000, 0) == []
    state.bindings.add(HERS)
    state.bindings.remove(HERS)
    assert state.people.had(ALICE) is not None


def test_somebody_with_a_ukey_is_not_forgotten(full: PrivateDirectory) -> None:
    state = started(full)
    for user, uid in (("alice", 1000), ("renamed", 1000), ("alice", people.NO_UID)):
        with pytest.raises(AlreadyBound):
            state.forget(user, uid, 0)
    assert state.people.had(ALICE) is not None


def test_a_revocation_that_is_forgotten_is_not_taken_notice_of_again(
    full: PrivateDirectory,
) -> None:
    without_what_is_known(full)
    state = started(full)
    assert len(state.forget("dave", 7, 0)) == 1
    assert started(full).people.had(Person("dave", 7)) is None
    assert state.revocations.find(KEY) is not None


def test_a_record_that_cannot_be_read_leaves_a_trace_too(full: PrivateDirectory) -> None:
    (full.path / "alice").write_bytes(b"?")
    (full.path / "carol").write_bytes(b"?")
    (full.path / "carol").chmod(0o600)
    state = started_damaged(full)
    for user in ("alice", "carol"):
        state.bindings.discard(user, by=0)
    trace = state.people.had(ALICE)
    assert trace is not None
    assert trace.key == HERS.fingerprint
    assert state.people.had(CAROL) is not None
    assert started(full).bindings.of(CAROL) == ()


def test_nothing_is_unbound_whose_trace_cannot_be_kept(full: PrivateDirectory) -> None:
    people_cut(full)
    state = state_of(full)
    with pytest.raises(RecordDamaged):
        state.bindings.remove(HERS)
    with pytest.raises(RecordDamaged):
        state.bindings.discard("alice")
    assert state.bindings.own(ALICE) == (HERS,)
    with pytest.raises(NotEnrolled):
        state.bindings.remove(dataclasses.replace(HERS, serial="SN7"))


def started_damaged(folder: PrivateDirectory) -> State:
    state = state_of(folder)
    assert state.start()
    return state
