# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Folders as the service has them, and records to put in."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.store.bindings import Bindings
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation
from keyservice.store.state import State

HOST = "0123456789abcdef0123456789abcdef"  #: its machine id


@pytest.fixture
def folder(tmp_path: Path) -> PrivateDirectory:
    made = PrivateDirectory(tmp_path / "records")
    made.prepare()
    return made


@pytest.fixture
def state(folder: PrivateDirectory) -> State:
    return started(folder)


@pytest.fixture
def bindings(state: State) -> Bindings:
    return state.bindings


def state_of(folder: PrivateDirectory, host: str = HOST) -> State:
    """The state that belongs to the records in `folder`, as a service sees it that just started."""
    return State(folder, histories(folder), host)


def started(folder: PrivateDirectory) -> State:
    """The same, after a start at which all was well."""
    made = state_of(folder)
    assert made.start() == []
    return made


def histories(folder: PrivateDirectory) -> PrivateDirectory:
    """The folder of the histories that belong to the records in `folder`."""
    return PrivateDirectory(folder.path.with_name("state"))


@pytest.fixture
def alice() -> Binding:
    return binding()


def binding(user: str = "alice", uid: int = 1000, serial: str = "SN1", key: int = 1) -> Binding:
    """A binding; `key` tells public keys apart."""
    return Binding(
        user=user,
        uid=uid,
        serial=serial,
        kind="gmt0017",
        application="ukey",
        container="login",
        algorithm="sm2",
        public_key=bytes([key] * 64).hex(),
        attested=False,
        bound_at="2026-01-02T03:04:05Z",
        bound_by=0,
    )


@pytest.fixture
def full(folder: PrivateDirectory) -> PrivateDirectory:
    """Records of alice and bob, and two revocations."""
    state = started(folder)
    state.bindings.add(binding())
    state.bindings.add(binding("bob", 1001, "SN2", 2))
    for key in ("ab" * 32, "cd" * 32):
        state.revocations.append(Revocation(key, True, "2026-01-02T03:04:05Z", 0, "dave", "SN9"))
    assert state.damage() == []
    return folder
