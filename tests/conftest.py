# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every test run: the product is installed first; a test that asks for one gets a host to break."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.doors import mend_tmp
from tests.support.enrolled import Enrolled
from tests.support.host import Host, in_sandbox
from tests.support.process import HostError, must
from tests.support.shared_host import Shared

WHEELS = Path("/opt/wheels")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Install into the sandbox: tests run what users run, and may import what it brings along."""
    if in_sandbox() and not session.config.option.collectonly:
        try:
            must([CHECKOUT / "scripts/install", "--wheels", WHEELS], seconds=120)
        except HostError as error:
            pytest.exit(str(error), returncode=1)
        importlib.invalidate_caches()  # the vendored libraries' folder, on the path, is there now


@pytest.fixture(autouse=True)
def tmp_is_everybodys() -> Iterator[None]:
    """A test that takes /tmp from others fails, and not whichever comes after it."""
    yield
    assert not (in_sandbox() and mend_tmp()), "this test, or what it asked for, changed /tmp's mode"


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with the product installed and nothing running; afterwards as if nothing had been."""
    with Host() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """An enrolled host for a module's tests, which say what they configure: ``shared.test(…)``.

    A module takes this one or ``host``: two hosts cannot be there at a time.
    """
    with Shared() as made:
        yield made


@pytest.fixture
def enrolled(shared: Shared) -> Iterator[Enrolled]:
    """The module's enrolled host, as new."""
    with shared.test() as made:
        yield made


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long version of a test is wanted (scripts/soak)."""
    return bool(request.config.getoption("--soak", default=False))
