# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A checkout that a test may change, and a root directory to install it below.

What installing itself does is looked at where it happens. A test of what comes after it starts from
a copy of a root that was installed once.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.machine import differences, tree
from tests.support.process import must, run

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
    """Nothing is installed yet."""
    root = tmp_path / "root"
    root.mkdir()
    return Below(CHECKOUT, root)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root that was installed, to be looked at: no test changes it."""
    below = Below(CHECKOUT, tmp_path_factory.mktemp("fresh"))
    done = below.install()
    assert (done.returncode, done.stderr) == (0, "")
    before = tree(below.path)
    yield below.path
    assert differences(before, tree(below.path)) == []


@pytest.fixture
def installed(fresh: Path, tmp_path: Path) -> Below:
    """A root of the test's own, as it is after installing."""
    return Below(CHECKOUT, copy(fresh, tmp_path / "root"))


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Below:
    """What a package is made from: with --package."""
    below = Below(CHECKOUT, tmp_path_factory.mktemp("packaged"))
    assert below("--package", "--wheels", WHEELS).returncode == 0
    return below


def copy(source: Path, target: Path) -> Path:
    """The same files with the same modes, owners and times."""
    must(["cp", "--archive", "--reflink=auto", source, target])
    return target


def copy_checkout(target: Path) -> Path:
    """Of the checkout, what the product is installed from."""
    ignored = shutil.ignore_patterns(".git", "tests", "bench", "__pycache__")
    shutil.copytree(CHECKOUT, target, ignore=ignored)
    return target


@pytest.fixture
def copied(tmp_path: Path) -> Below:
    """As `below`, from a copy of the checkout."""
    root = tmp_path / "root"
    root.mkdir()
    return Below(copy_checkout(tmp_path / "checkout"), root)
