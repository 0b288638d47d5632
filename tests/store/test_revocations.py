# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The history of revocations: appended to, never rewritten, and read in full or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from keyservice.core.errors import RecordDamaged
from keyservice.crypto.algorithms import fingerprint
from keyservice.crypto.key import PublicKey
from keyservice.store.files import PrivateDirectory
from keyservice.store.revocations import FILE, Revocation, Revocations
from keyservice.store.state import State

from .conftest import histories, state_of

KEY, OTHER = "ab" * 32, "cd" * 32


def event(key: str = KEY, *, revoked: bool = True, by: int = 0) -> Revocation:
    return Revocation(key, revoked, "2026-01-02T03:04:05Z", by, "alice", "SN1")


@pytest.fixture
def revocations(state: State) -> Revocations:
    return state.revocations


def path(folder: PrivateDirectory) -> Path:
    return histories(folder).path / FILE


def test_revoked_and_taken_back(revocations: Revocations, folder: PrivateDirectory) -> None:
    assert revocations.find(KEY) is None
    revocations.append(event())
    revocations.append(event(OTHER))
    assert revocations.find(KEY) == event()
    revocations.append(event(revoked=False, by=1000))
    assert revocations.find(KEY) is None
    assert revocations.all() == [event(OTHER)]
    assert state_of(folder).revocations.all() == [event(OTHER)]
    assert len(path(folder).read_text().splitlines()) == 3  # who did what stays to be read


def test_what_another_process_wrote_is_seen(
    revocations: Revocations, folder: PrivateDirectory
) -> None:
    assert revocations.find(KEY) is None
    state_of(folder).revocations.append(event())
    assert revocations.find(KEY) is not None


def test_the_file_is_roots_alone(revocations: Revocations, folder: PrivateDirectory) -> None:
    revocations.append(event())
    assert path(folder).stat().st_mode & 0o777 == 0o600
    path(folder).chmod(0o644)
    with pytest.raises(RecordDamaged):
        revocations.find(OTHER)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "?",
        "[]",
        '{"version": 2}',
        '{"version": 1, "key": "ab"}',
        f'{{"version": 1, "key": "{KEY}", "revoked": 1, "at": "", "by": 0, "user": "",'
        ' "serial": ""}',
        '{"version": 1, "key": "xy", "revoked": true, "at": "", "by": 0, "user": "", "serial": ""}',
    ],
)
def test_a_damaged_line_damages_the_whole(
    revocations: Revocations, folder: PrivateDirectory, line: str
) -> None:
    revocations.append(event())
    before = path(folder).read_bytes()
    path(folder).write_bytes(before + line.encode() + b"\n")
    with pytest.raises(RecordDamaged, match="line 2"):
        revocations.find(OTHER)
    with pytest.raises(RecordDamaged):
        revocations.append(event(OTHER))


def test_odd_facts_stay_on_their_line(revocations: Revocations) -> None:
    odd = dataclasses.replace(event(), user='li"\n{}', serial="\u2028")
    revocations.append(odd)
    assert revocations.all() == [odd]


def test_a_fingerprint_is_sm3() -> None:
    # GB/T 32905-2016, annex A.2: 64 bytes, "abcd" sixteen times
    assert (
        fingerprint(PublicKey("sm2", b"abcd" * 16))
        == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )
