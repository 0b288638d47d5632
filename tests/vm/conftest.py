# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One guest for all tests; what denials a test leaves in its log, it answers for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guest import Guest

#: BASE:DISK:LOGS, as scripts/vm-test says; without, no test of this folder is one
_GIVEN = os.environ.get("UKEY_GUEST")

if _GIVEN is None:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Booting takes its time, and so does all that an emulated processor does."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


def make(name: str, *, selinux: bool = True) -> Guest:
    assert _GIVEN is not None
    base, disk, logs = map(Path, _GIVEN.split(":"))
    folder = logs / name
    folder.mkdir()
    return Guest(base, disk, folder, selinux=selinux)


@pytest.fixture(scope="session")
def booted() -> Iterator[Guest]:
    made = make("guest")
    try:
        made.wait_prompt()
        made.wait_ready()
        yield made
        made.collect()
    finally:
        made.close()


@pytest.fixture
def guest(booted: Guest) -> Iterator[Guest]:
    """It runs, enforcing, the ukey in its port and bound to nobody; and so it is left."""
    booted.wait_ukey()
    yield booted
    if not booted.ukey.control.status()["seen"]:
        booted.plug()


@pytest.fixture
def alice(guest: Guest) -> Iterator[str]:
    """Her name; the ukey is bound to her."""
    guest.bind("alice")
    yield "alice"
    if not guest.ukey.control.status()["seen"]:
        guest.plug()
    guest.wait_ukey()
    guest.root(f"ukey throttle reset {guest.ukey.serial}")
    guest.unbind("alice")
