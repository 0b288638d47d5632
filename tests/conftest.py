# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Fixtures of every test: the product installed, and a host to break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.host import Host, in_sandbox
from tests.support.process import must

WHEELS = Path("/opt/wheels")


@pytest.fixture(scope="session")
def installed() -> None:
    """The product, installed by scripts/install into this sandbox."""
    if not in_sandbox():
        pytest.fail("this installs the product: run it by scripts/test", pytrace=False)
    must([CHECKOUT / "scripts/install", "--wheels", WHEELS])


@pytest.fixture
def host(installed: None) -> Iterator[Host]:
    """A host with the product installed and nothing running; afterwards as if nothing had been."""
    with Host() as made:
        yield made
