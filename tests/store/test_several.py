# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Several keys of one person: each is bound, unbound and missed by itself."""

from __future__ import annotations

import json

import pytest

from keyservice.core.errors import AlreadyBound, NotEnrolled, RecordDamaged, StoreFailed
from keyservice.store.files import PrivateDirectory
from keyservice.store.people import Kind
from keyservice.store.records import Purpose
from keyservice.store.revocations import Revocation

from .conftest import binding, started, state_of
from .credentials import of_ssh, of_token, spare
from .losses import ALICE, BOB, CAROL, known, places

HERS, SPARE, THIRD, SSH = binding(), spare(), spare(3), of_ssh(4)


def version(folder: PrivateDirectory, name: str = "alice") -> int:
    found: int = json.loads((folder.path / name).read_bytes())["version"]
    return found


def older_backup(folder: PrivateDirectory) -> bytes:
    """Bind a spare ukey of alice's, and return her record as it was before."""
    before = (folder.path / "alice").read_bytes()
    started(folder).bindings.add(SPARE, limit=2)
    return before


def test_a_second_key_makes_version_2_and_the_last_one_that_is_left_version_1(
    folder: PrivateDirectory,
) -> None:
    bindings = started(folder).bindings
    bindings.add(HERS)
    before = (folder.path / "alice").read_bytes()
    bindings.add(SPARE, limit=2)
    bindings.add(SSH)
    assert version(folder) == 2
    assert started(folder).bindings.of(ALICE) == (HERS, SPARE, SSH)
    bindings.remove(SPARE)
    bindings.remove(SSH)
    assert (folder.path / "alice").read_bytes() == before
    bindings.remove(HERS)
    assert started(folder).bindings.of(ALICE) == ()
    with pytest.raises(NotEnrolled):
        bindings.remove(SPARE)


def test_the_loss_of_one_of_several_is_damage_until_it_is_put_right(full: PrivateDirectory) -> None:
    before = older_backup(full)
    path, whole = full.path / "alice", (full.path / "alice").read_bytes()
    path.write_bytes(before)
    state = state_of(full)
    (told,) = state.start()
    assert "PIV2 is gone from it, and was not unbound" in told
    assert places(state.damage()) == {"alice"}
    with pytest.raises(RecordDamaged):
        state.bindings.of(CAROL)
    with pytest.raises(RecordDamaged):
        state.bindings.add(binding("carol", 1002, "SN3", 3))
    assert state.bindings.of(ALICE) == (HERS,), "what is left of hers is sound"
    path.write_bytes(whole)
    assert started(full).bindings.of(CAROL) == ()
    path.write_bytes(before)
    assert places(state_of(full).accept(0)) == {"alice"}
    assert started(full).bindings.of(CAROL) == ()


def test_what_is_lost_never_looks_like_what_never_was(full: PrivateDirectory) -> None:
    """Else a login would ask for the next factor, which may be the lesser one."""
    state = started(full)
    before = (full.path / "alice").read_bytes()
    state.bindings.add(SSH)
    enrolment = state.enrolled(ALICE)
    assert enrolment is not None
    assert [each.binding for each in enrolment.of(Purpose.SSH)] == [SSH]
    (full.path / "alice").write_bytes(before)
    enrolment = state.enrolled(ALICE)
    assert enrolment is not None
    assert [each.binding for each in enrolment.of(Purpose.LOGIN)] == [HERS]
    with pytest.raises(RecordDamaged):
        enrolment.of(Purpose.SSH)
    known(full).write_bytes(b"?")
    enrolment = state.enrolled(ALICE)
    assert enrolment is not None
    with pytest.raises(RecordDamaged):
        enrolment.of(Purpose.SSH)
    bobs = state_of(full).bindings.of(BOB)
    assert [each.serial for each in bobs] == ["SN2"], "a history keeps nobody's own ukey out"


def test_one_that_was_revoked_may_be_gone(full: PrivateDirectory) -> None:
    before = older_backup(full)
    state = started(full)
    state.revocations.append(
        Revocation(SPARE.fingerprint, True, "2026-01-02T03:04:05Z", 0, "alice", SPARE.serial)
    )
    enrolment = state.enrolled(ALICE)
    assert enrolment is not None
    assert [each.revoked for each in enrolment.held] == [False, True]
    (full.path / "alice").write_bytes(before)
    again = started(full)
    assert again.bindings.of(CAROL) == ()
    assert [each.event for each in again.people.lasts("alice")] == [Kind.BOUND, Kind.UNBOUND]


def test_a_record_that_is_given_up_takes_all_its_keys_with_it(full: PrivateDirectory) -> None:
    older_backup(full)
    (full.path / "alice").write_bytes(b"?")
    state = state_of(full)
    state.bindings.discard("alice", by=7)
    assert [(each.event, each.by) for each in state.people.lasts("alice")] == [
        (Kind.UNBOUND, 7),
        (Kind.UNBOUND, 7),
    ]
    assert started(full).bindings.of(CAROL) == ()


def test_a_person_with_one_key_left_is_not_forgotten(full: PrivateDirectory) -> None:
    older_backup(full)
    state = started(full)
    state.bindings.remove(SPARE)
    with pytest.raises(AlreadyBound):
        state.forget("alice", 1000, 0)
    state.bindings.remove(HERS)
    assert state.forget("alice", 1000, 0)
    assert started(full).people.lasts("alice") == []


def test_a_disk_that_fails_leaves_the_others_as_they_were(full: PrivateDirectory) -> None:
    known(full).chmod(0o640)  # nothing can be added to the history
    state = state_of(full)
    with pytest.raises(RecordDamaged):
        state.bindings.add(SPARE, limit=2)
    with pytest.raises(RecordDamaged):
        state.bindings.remove(HERS)
    known(full).chmod(0o600)
    assert started(full).bindings.of(ALICE) == (HERS,)


def test_what_could_not_be_read_again_is_not_written(full: PrivateDirectory) -> None:
    state = started(full)
    with pytest.raises(StoreFailed):
        state.bindings.add(spare(label="\x07"), limit=2)
    assert started(full).bindings.of(ALICE) == (HERS,)
    tokens = [of_token(), SSH]
    for each in tokens:
        state.bindings.add(each, limit=2)
    assert started(full).bindings.of(ALICE) == (HERS, *tokens)
