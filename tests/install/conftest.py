# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A checkout that a test may change, and a root directory to install it below."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import run

WHEELS = Path("/opt/wheels")


class Below:
    """scripts/install of `checkout`, with --root `path`."""

    def __init__(self, checkout: Path, path: Path) -> None:
        self.checkout, self.path = checkout, path

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run([self.checkout / "scripts/install", "--root", self.path, *arguments])

    def install(self, wheels: Path = WHEELS) -> subprocess.CompletedProcess[str]:
        return self("--wheels", wheels)

    def uninstall(self) -> subprocess.CompletedProcess[str]:
        return self("--uninstall")

    def files(self) -> set[str]:
        return {str(path.relative_to(self.path)) for path in self.path.rglob("*")}


@pytest.fixture
def below(tmp_path: Path) -> Below:
    root = tmp_path / "root"
    root.mkdir()
    return Below(CHECKOUT, root)


@pytest.fixture
def copied(tmp_path: Path) -> Below:
    """As `below`, from a copy of the checkout."""
    checkout, root = tmp_path / "checkout", tmp_path / "root"
    root.mkdir()
    ignored = shutil.ignore_patterns(".git", "tests", "bench", "__pycache__")
    shutil.copytree(CHECKOUT, checkout, ignore=ignored)
    return Below(checkout, root)
