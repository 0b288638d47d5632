# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One scene for all tests of a module, as new for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .scene import Scene


@pytest.fixture(scope="module")
def shared() -> Iterator[Scene]:
    with Scene() as made:
        yield made


@pytest.fixture
def scene(shared: Scene) -> Scene:
    shared.begin("helpful")
    return shared
