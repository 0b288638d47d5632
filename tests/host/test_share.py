# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Runs that share the modules run every selected test once, and no test is left out."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import CHECKOUT
from tests.support.process import run

MODULE = """\
import pytest

def test_plain(): pass

@pytest.mark.alone
def test_alone(): pass
"""


def totals(folder: Path) -> list[int]:
    """Passed, failed and skipped of all the runs."""
    counts = [[int(n) for n in each.read_text().split()] for each in folder.glob("counts-*")]
    return [sum(column) for column in zip(*counts, strict=True)]


def shared_run(modules: Path, shared: Path, selected: str) -> None:
    pytest = [sys.executable, "-m", "pytest", "-p", "tests.support.share", "-p", "no:cacheprovider"]
    done = run([*pytest, f"--share={shared}", "-m", selected, modules], cwd=CHECKOUT)
    assert done.returncode in (0, 5), done.stdout + done.stderr


def test_a_module_of_two_kinds_of_tests_runs_both(tmp_path: Path) -> None:
    modules, shared = tmp_path / "modules", tmp_path / "shared"
    modules.mkdir()
    shared.mkdir()
    for name in ("one", "two"):
        (modules / f"test_{name}.py").write_text(MODULE)
    for selected in ("not alone", "not alone", "alone"):
        shared_run(modules, shared, selected)
    assert totals(shared) == [4, 0, 0]
