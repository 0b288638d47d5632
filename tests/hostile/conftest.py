# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A scene for one test; many conditions share one (test_conditions)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .scene import Scene


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as made:
        made.stacks("helpful")
        yield made
