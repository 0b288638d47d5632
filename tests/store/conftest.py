# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Folders as the service has them, and records to put in."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.store.bindings import Binding, Bindings
from keyservice.store.files import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "records")
    made.prepare()
    return made


@pytest.fixture
def bindings(folder: Folder) -> Bindings:
    return Bindings(folder)


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
