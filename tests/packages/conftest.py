# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Packages of the checkout, built by the one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import must

SANDBOX = str(CHECKOUT / "scripts/sandbox")


def package(*arguments: str | Path) -> Path:
    """Build one; its path is all that is printed."""
    told = must([CHECKOUT / "scripts/package", *arguments], seconds=300)
    [path] = told.splitlines()
    return Path(path)


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As people build it: with what it declares alone."""
    return package("deb", "--out", tmp_path_factory.mktemp("deb"))
