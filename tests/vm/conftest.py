# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One guest for all tests, which boots once unless a test asks for more. For what a test leaves
behind there, and for denials in its log, the test answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.guest import GIVEN, Guest, given
from tests.guest.traces import changed, traces

# Without what scripts/vm-test has made, no test of this folder is one.
if GIVEN not in os.environ:
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "denied: SELinux denies what the test tries, and shall")
    config.addinivalue_line("markers", "leaves(name...): of traces, what it may leave otherwise")
    config.addinivalue_line("markers", "long: only where scripts/vm-test is run by itself")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Booting takes its time, and so does all that an emulated processor does; last comes what has
    others boot again."""
    items.sort(key=lambda item: item.get_closest_marker("long") is not None)
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def booted() -> Iterator[Guest]:
    base, disk, _package, logs = given()
    with contextlib.closing(Guest(base, disk, logs)) as made:
        try:
            made.wait_prompt()
            made.wait_ready()
            made.wait_ukey()
            made.traces = traces(made)
            yield made
        finally:
            made.collect()


@pytest.fixture
def guest(booted: Guest, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """It runs, enforcing, the ukey in its port; and so it is left. Nobody was denied anything."""
    if not booted.selinux:
        booted.power_off()
        booted.power_on()
        booted.wait_prompt()
        booted.wait_ready()
    failed = request.session.testsfailed
    yield booted
    if request.session.testsfailed > failed:
        booted.hang_up()
    if not booted.selinux:
        return  # nothing of this boot stays, and there was nobody to deny
    if not booted.plugged:
        booted.plug()
    denials = booted.denials()
    new, booted.told_denials = denials[booted.told_denials :], len(denials)
    before, booted.traces = booted.traces, traces(booted)
    leaves = request.node.get_closest_marker("leaves")
    assert changed(before, booted.traces, leaves.args if leaves else ()) == []
    if request.node.get_closest_marker("denied") is None:
        assert new == []


@pytest.fixture
def alice(guest: Guest) -> str:
    """Her name; the ukey is bound to her."""
    if guest.bound_to is None:
        guest.bind("alice")
    assert guest.bound_to == "alice"
    return "alice"
