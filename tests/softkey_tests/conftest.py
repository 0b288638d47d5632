# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey in a file, a card on it, a terminal that talks to the card."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.softkey import state
from tests.softkey.card import Card
from tests.softkey.state import StateFile

from .terminal import ADMIN_PIN, PIN, Terminal


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    made = StateFile(tmp_path / "ukey")
    made.create(
        state.new(serial="SK0001", pin=PIN, admin_pin=ADMIN_PIN, empty_containers=("empty",))
    )
    return made


@pytest.fixture
def card(file: StateFile) -> Card:
    return Card(file)


@pytest.fixture
def terminal(card: Card) -> Terminal:
    """With the application and the container open."""
    made = Terminal(card.transmit)
    made.open()
    return made
