# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A file that is gone, shorter or cut is noticed, at any start but the first."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keyservice.core.errors import RecordDamaged, StoreFailed
from keyservice.core.username import Person
from keyservice.store.files import PrivateDirectory
from keyservice.store.record_text import serialize
from keyservice.store.revocations import Revocation
from keyservice.store.witness import FILE, HIDDEN

from .conftest import binding, histories, started, state_of
from .losses import (
    ALICE,
    BOB,
    CAROL,
    HERS,
    HIS,
    KEY,
    LOST,
    LOST_REVOCATIONS,
    a_line_lost,
    a_lost_end,
    a_record_gone,
    an_unreadable_witness,
    another_line_lost,
    event,
    people_gone,
    places,
    revocations_gone,
    revoked,
    without_what_is_known,
)

# -- a first start, and a later one


def test_a_first_start_is_silent_and_a_later_one_knows(folder: PrivateDirectory) -> None:
    started(folder)
    assert (folder.path / HIDDEN).read_bytes() == (histories(folder).path / FILE).read_bytes()
    started(folder)
    assert state_of(folder).bindings.of(ALICE) == ()


def test_an_upgrade_is_silent_and_takes_notice_of_all_that_is_there(full: PrivateDirectory) -> None:
    state = started(full)
    state.bindings.remove(HIS)
    without_what_is_known(full)
    state = started(full)
    assert [each.user for each in state.people.bound()] == ["alice"]
    assert state.people.had(Person("dave", 7)) is not None, "who lost a ukey had one"
    assert state.people.had(CAROL) is None


def test_what_an_older_version_did_in_between_is_taken_notice_of(full: PrivateDirectory) -> None:
    """It writes records and revocations, and knows nothing of the rest."""
    lost = event(HERS.fingerprint, user="alice")
    with revoked(full).open("ab") as file:
        file.write(line(lost))
    (full.path / "alice").unlink()
    hers = serialize([binding("carol", 1002, "SN3", 3)])
    full.create("carol", hers)
    state = started(full)
    state.revocations.append(dataclasses.replace(lost, revoked=False))
    assert started(full).damage() == [], "she was unbound, with or without her revocation"
    assert state.people.had(ALICE) is not None
    assert {each.user for each in state.people.bound()} == {"bob", "carol"}


def test_a_record_from_elsewhere_is_missed_when_it_goes(full: PrivateDirectory) -> None:
    state = started(full)
    full.create("carol", serialize([binding("carol", 1002, "SN3", 3)]))
    assert state.bindings.of(Person("dave", 7)) == ()
    full.remove("carol")
    with pytest.raises(RecordDamaged) as caught:
        state.bindings.of(Person("dave", 7))
    assert places([caught.value]) == {"carol"}


# -- what is lost


@pytest.mark.parametrize("lose", LOST)
def test_whatever_is_lost_proves_nobody_to_have_none_until_it_is_back(
    full: PrivateDirectory, lose: Callable[[PrivateDirectory], None]
) -> None:
    both = (full.path, histories(full).path)
    for path in both:
        shutil.copytree(path, path.with_name(f"{path.name}.backup"))
    lose(full)
    for _start in range(2):  # and a start does not make it right
        state = state_of(full)
        told = state.start()
        assert told
        assert state.damage()
        for person in (CAROL, Person("dave", 7)):
            with pytest.raises(RecordDamaged):
                state.bindings.of(person)
        with pytest.raises(RecordDamaged):
            state.bindings.add(binding("carol", 1002, "SN3", 3))
    for path in both:
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{path.name}.backup").rename(path)
    assert started(full).bindings.of(CAROL) == ()


@pytest.mark.parametrize("lose", LOST_REVOCATIONS)
def test_a_lost_revocation_lets_nobody_in(
    full: PrivateDirectory, lose: Callable[[PrivateDirectory], None]
) -> None:
    running = started(full)
    assert running.revocations.find(KEY) is not None
    lose(full)
    before = revoked(full).read_bytes() if revoked(full).exists() else None
    for state in (running, state_of(full)):
        with pytest.raises((RecordDamaged, StoreFailed)):
            state.revocations.find(HERS.fingerprint)
        with pytest.raises((RecordDamaged, StoreFailed)):
            state.revocations.append(event("ef" * 32))
    assert (revoked(full).read_bytes() if revoked(full).exists() else None) == before


@pytest.mark.parametrize(
    ("lose", "why"),
    [
        (a_lost_end, "its last line is cut off"),
        (a_line_lost, "bytes, and had"),
        (another_line_lost, "not what they were"),
        (revocations_gone, "it was there and is gone"),
        (a_record_gone, "it is gone, and its ukey was not unbound"),
        (an_unreadable_witness, "does not tell what there was"),
    ],
)
def test_damage_says_what_it_is(
    full: PrivateDirectory, lose: Callable[[PrivateDirectory], None], why: str
) -> None:
    lose(full)
    state = state_of(full)
    (error,) = state.damage()
    assert why in str(error)
    assert any(why in told for told in state.start())


def test_those_whose_records_are_there_are_still_known(full: PrivateDirectory) -> None:
    for lose in (a_record_gone, people_gone):
        lose(full)
    assert state_of(full).bindings.own(BOB) == (HIS,)


def test_a_lost_witness_is_told_and_written_again(full: PrivateDirectory) -> None:
    for path in (full.path / HIDDEN, histories(full).path / FILE):
        path.unlink()
        (told,) = state_of(full).start()
        assert str(path.parent) in told
        started(full)


# -- backups and other hosts


def test_records_from_an_older_backup_are_right_but_for_what_came_since(
    full: PrivateDirectory,
) -> None:
    backup = full.path.with_name("backup")
    shutil.copytree(full.path, backup)
    state = started(full)
    state.bindings.remove(HERS)
    state.bindings.add(binding("carol", 1002, "SN3", 3))
    state.revocations.append(event("ef" * 32))
    shutil.rmtree(full.path)
    backup.rename(full.path)
    state = state_of(full)
    (error,) = state.damage()
    assert places([error]) == {"carol"}
    assert state.bindings.own(ALICE) == (HERS,)
    assert state.revocations.find("ef" * 32) is not None


def test_histories_from_an_older_backup_are_damaged(full: PrivateDirectory) -> None:
    backup = full.path.with_name("backup")
    shutil.copytree(histories(full).path, backup)
    started(full).revocations.append(event("ef" * 32))
    shutil.rmtree(histories(full).path)
    backup.rename(histories(full).path)
    with pytest.raises(RecordDamaged, match="and had"):
        state_of(full).revocations.find(KEY)


def test_records_copied_to_another_host(full: PrivateDirectory, tmp_path: Path) -> None:
    """With their witness they tell of revocations that are not there; without it all is well."""
    there = PrivateDirectory(tmp_path / "other" / "records")
    there.path.parent.mkdir()
    shutil.copytree(full.path, there.path)
    histories(there).path.mkdir(0o700)
    state = state_of(there, "ef" * 16)
    assert any("another host's" in told for told in state.start())
    with pytest.raises(RecordDamaged, match="another host's"):
        state.revocations.find(KEY)
    (there.path / HIDDEN).unlink()
    state = state_of(there, "ef" * 16)
    assert state.start() == []
    assert state.bindings.of(ALICE) == (HERS,)


def line(event: Revocation) -> bytes:
    return json.dumps({"version": 1, **dataclasses.asdict(event)}).encode() + b"\n"


def test_who_reads_while_another_writes_is_not_told_of_damage(
    full: PrivateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content that was read before is shorter than what is known after."""
    state, other = started(full), started(full)
    before = state.revocations.history.raw()
    other.revocations.append(event("ef" * 32))
    real = state.revocations.history.raw
    answers = [before]
    monkeypatch.setattr(
        type(state.revocations.history), "raw", lambda self: answers.pop() if answers else real()
    )
    state.revocations.history._sound = None
    assert state.revocations.find("ef" * 32) is not None
    assert answers == []
