# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Runs that share the modules run every selected test once, and no test is left out."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import run
from tests.support.share import SECONDS, seconds

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


def shared_run(modules: Path, shared: Path, selected: str, *more: str) -> str:
    """Returns its lines about the modules, in their order."""
    pytest = [sys.executable, "-m", "pytest", "-p", "tests.support.share", "-p", "no:cacheprovider"]
    done = run([*pytest, f"--share={shared}", "-m", selected, *more, modules], cwd=CHECKOUT)
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return done.stderr


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"test_{name}.py").write_text(MODULE)
    return folder


def test_a_module_of_two_kinds_of_tests_runs_both(modules: Path, shared: Path) -> None:
    for selected in ("not alone", "not alone", "alone"):
        shared_run(modules, shared, selected)
    assert totals(shared) == [4, 0, 0]


def test_a_run_tells_where_tests_are_that_run_alone(modules: Path, shared: Path) -> None:
    text = MODULE.replace("@pytest.mark.alone", "@pytest.mark.smoke\n@pytest.mark.alone")
    (modules / "test_two.py").write_text(text)
    shared_run(modules, shared, "not alone", f"--rootdir={modules}")
    (told,) = shared.glob("alone-*")
    assert told.read_text() == "test_one.py alone\ntest_two.py alone smoke\n"


def test_a_module_that_imports_tests_runs_them_too(modules: Path, shared: Path) -> None:
    (modules / "test_zero.py").write_text("from test_one import *\n")
    shared_run(modules, shared, "", f"--override-ini=pythonpath={modules}")
    assert totals(shared) == [6, 0, 0]


def test_the_longest_begins_and_what_nobody_has_timed_before_it(
    modules: Path, shared: Path, tmp_path: Path
) -> None:
    (modules / "test_new.py").write_text(MODULE)
    times = tmp_path / "seconds.txt"
    times.write_text("1.5 test_one.py\n20.0 test_two.py\n")
    told = shared_run(modules, shared, "not alone", f"--seconds={times}", f"--rootdir={modules}")
    begun = ["test_new.py", "test_two.py", "test_one.py"]
    assert re.findall("^test_[a-z]+.py", told, re.MULTILINE) == begun
    assert [line.split()[1] for path in shared.glob("seconds-*") for line in path.open()] == begun


def test_the_times_are_of_modules_that_are_there() -> None:
    """If a name is gone, the times are too old: scripts/test --all --times."""
    assert [name for name in seconds(SECONDS) if not (CHECKOUT / name).exists()] == []
