# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Policies to look at: each is linked once."""

from __future__ import annotations

import fcntl
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.selinux.link import compile_test, compile_ukey, kernel_policy, link
from tests.selinux.reach import Policy
from tests.support import CHECKOUT


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("selinux")


@pytest.fixture(scope="session")
def module(folder: Path) -> Path:
    """The product's, compiled."""
    return compile_ukey(folder / "ukey")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest, folder: Path, module: Path) -> Path:
    """Debian's policy with the product's module; runs that share the tests share it too."""
    shared: Path = request.config.getoption("--share", default=None) or folder
    store = shared / "selinux-store"
    with (shared / "selinux-store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.exists():
            making = Path(tempfile.mkdtemp(dir=shared)) / "store"
            done = link(making, module)
            assert done.returncode == 0, done.stderr
            making.rename(store)
    return store


@pytest.fixture(scope="session")
def policy(store: Path) -> Policy:
    """The same, to be asked."""
    return Policy(kernel_policy(store))


@pytest.fixture(scope="session")
def ordinary(folder: Path) -> Policy:
    """Debian's, with a service like any other, ``ordinary_t``, and without us."""
    made = compile_test("ordinary", folder / "ordinary")
    done = link(folder / "with-ordinary", made, keep_promises=False)  # none of it is ours
    assert done.returncode == 0, done.stderr
    return Policy(kernel_policy(folder / "with-ordinary"))


@pytest.fixture(scope="session")
def documented() -> Callable[[str], set[str]]:
    """The types that docs/selinux.md names in the row of a table that begins so."""
    rows = {}
    for line in (CHECKOUT / "docs/selinux.md").read_text().splitlines():
        if line.startswith("| ") and line.count("|") >= 3:
            _, name, types, *_ = (cell.strip() for cell in line.split("|"))
            rows[name] = set(re.findall(r"`([a-z_]+_t)`", types))
    return rows.__getitem__
