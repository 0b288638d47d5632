# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A private bus, and the service on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.doors import open_to_others

# Modules that use the vendored library are imported late: it is installed after this file is read.
if TYPE_CHECKING:
    from tests.servers.buskit import PrivateBus
    from tests.servers.busstage import Stage


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that other users can reach."""
    open_to_others(tmp_path)
    return tmp_path


@pytest.fixture
def place(open_path: Path) -> Path:
    """Where the sockets are made."""
    return open_path / "ukey"


@pytest.fixture
def bus(open_path: Path) -> Iterator[PrivateBus]:
    """A bus that runs, with our policy."""
    from tests.servers.buskit import PrivateBus

    made = PrivateBus(open_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def stage(bus: PrivateBus, place: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The service, and clients of this process that find it."""
    from tests.servers.buskit import meet
    from tests.servers.busstage import Stage

    meet(monkeypatch, bus, place)
    return Stage(bus, place)
