# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host with one person on it, and a process at each place from which they log in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.access.conftest import Make, make, readers
from tests.support.doors import open_to_others
from tests.support.host import Host
from tests.support.people import User

from . import house, places
from .compare import Play
from .rules import Place

__all__ = ["make", "readers"]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with Host() as host:
        yield host.user("demo", groups=["ukey-breakglass"])


@pytest.fixture(scope="module")
def doors(user: User) -> Iterator[Mapping[Place, places.Door]]:
    with places.doors() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For the test's files; the people who log in may read the stacks in it."""
    open_to_others(tmp_path)
    (tmp_path / "stacks").mkdir(mode=0o755)
    (tmp_path / "service").mkdir()
    return tmp_path


@pytest.fixture
def play(
    folder: Path,
    make: Make,
    doors: Mapping[Place, places.Door],
    user: User,
    monkeypatch: pytest.MonkeyPatch,
) -> Play:
    """On the stacks that the test has written."""

    def play(scene: Callable[[house.House], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with house.living(folder, make, doors, user, monkeypatch) as made:
                await scene(made)

        asyncio.run(inside())

    return play
