# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The base of the tests of pam check: hosts made of files, and a module that tells its lines."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pamcheck.hosts import Host, Judge, Judged
from tests.support import CHECKOUT
from tests.support.process import must
from tests.tools.running import Commands


@pytest.fixture
def commands() -> Iterator[Commands]:
    running = Commands()
    yield running
    running.close()


@pytest.fixture
def place(tmp_path: Path) -> Host:
    """An empty host."""
    return Host(tmp_path / "host")


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Judges a stack once for all tests that ask; each stack has a host of its own."""

    @functools.cache
    def judge(service: str, text: str) -> Judged:
        host = Host(tmp_path_factory.mktemp("judged"))
        return Judged(host, host.check(service, text))

    return judge


@pytest.fixture(scope="session")
def pam_row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pam_row.so of the truth tables: a second way to see which lines libpam runs."""
    made = tmp_path_factory.mktemp("row") / "pam_row.so"
    source = CHECKOUT / "tests/pam/pam_row.c"
    command = ["cc", "-std=gnu11", "-O1", "-Wall", "-fPIC", "-shared"]
    must([*command, "-o", str(made), str(source), "-lpam"], seconds=120)
    return made
