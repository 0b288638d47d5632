# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands, and a scripted keyservice on the real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemons import start_bus
from tests.support.host import in_sandbox
from tests.support.process import Daemon
from tests.tools.enabling import buses as buses
from tests.tools.enabling import debian as debian
from tests.tools.enabling import rescue as rescue
from tests.tools.running import Commands
from tests.tools.scripted import Keyservice
from tests.tools.scripted_bus import BusService


@pytest.fixture(scope="session")
def sandbox() -> None:
    """These tests serve the product's own sockets: never on a host where it runs."""
    if not in_sandbox():
        pytest.fail("run this by scripts/test", pytrace=False)


@pytest.fixture
def service(sandbox: None) -> Iterator[Keyservice]:
    """The scripted keyservice on root's socket."""
    with closing(Keyservice("/run/ukey/root.sock")) as keyservice:
        yield keyservice


@pytest.fixture
def commands(sandbox: None) -> Iterator[Commands]:
    """The installed commands."""
    with closing(Commands()) as running:
        yield running


@pytest.fixture
def system_bus(tmp_path: Path) -> Iterator[Daemon]:
    daemon = start_bus(tmp_path)
    yield daemon
    daemon.stop()


@pytest.fixture
def bus(system_bus: Daemon) -> Iterator[BusService]:
    with closing(BusService()) as service:
        yield service
