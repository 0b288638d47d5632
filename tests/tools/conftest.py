# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands, and a scripted keyservice on the real socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.host import in_sandbox
from tests.tools.running import Commands
from tests.tools.scripted import Keyservice


@pytest.fixture(scope="session")
def sandbox() -> None:
    """These tests serve the product's own sockets: never on a host where it runs."""
    if not in_sandbox():
        pytest.fail("run this by scripts/test", pytrace=False)


@pytest.fixture
def service(sandbox: None) -> Iterator[Keyservice]:
    """The scripted keyservice on root's socket."""
    keyservice = Keyservice("/run/ukey/root.sock")
    yield keyservice
    keyservice.close()


@pytest.fixture
def commands(sandbox: None) -> Iterator[Commands]:
    """The installed commands."""
    running = Commands()
    yield running
    running.close()
