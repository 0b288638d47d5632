# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every state of a ukey and every place, on the real pcscd and confined device workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemons import start_pcscd

from . import house
from .compare import Play, agree
from .rules import Factor, Line, Place, Record, State, expected


@pytest.fixture
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real ones."""
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_on_real_readers(play: Play, folder: Path) -> None:
    house.write_stacks(folder / "stacks")
    states = [
        State(factor, place, Record.ENROLLED, Line.HELPFUL) for factor in Factor for place in Place
    ]
    agree(play, states, expected)
