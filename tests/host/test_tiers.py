# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""scripts/test tells how its runs went. Stand-ins run no test: they say how their runs ended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import run

#: The run of what measures time ends as the file "run" says, "STATUS TEST…"; the second run of what
#: failed as "again" says.
SANDBOX = """\
#!/bin/sh
plans=${0%/*}
out='' name=again
while [ $# -gt 0 ]; do
    case $1 in
    --build | */compile.sh) exit 0 ;;
    --out) out=$2 name=passes ;;
    *') and alone') name=run && break ;;
    esac
    shift
done
[ $name != passes ] || echo "5 0 0" >"$(mktemp "$out/counts-XXXXXX.txt")"
[ $name != passes ] || cp "$plans/alone" "$(mktemp "$out/alone-XXXXXX.txt")"
[ $name != run ] || echo "$*" >>"$plans/ran"
[ $name != passes ] || exit 0
read -r status tests <"$plans/$name"
if [ $name = run ]; then
    set -- $tests
    echo "5 $# 0" >"$(mktemp "$out/counts-XXXXXX.txt")"
    for test; do echo "$test"; done >"$(mktemp "$out/failed-XXXXXX.txt")"
fi
exit "$status"
"""
#: It has no guest to run.
VM_TEST = """\
#!/bin/sh
exit 0
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name, text in (
        ("test", (CHECKOUT / "scripts/test").read_text()),
        ("sandbox", SANDBOX),
        ("vm-test", VM_TEST),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "alone").write_text("tests/a.py alone\ntests/b.py alone slow\n")
    return tmp_path


def all_of_them(
    scripts: Path, first: str, second: str, tier: str = "--all"
) -> subprocess.CompletedProcess[str]:
    (scripts / "run").write_text(first + "\n")
    (scripts / "again").write_text(second + "\n")
    return run([scripts / "test", tier])


def test_all_passed(scripts: Path) -> None:
    done = all_of_them(scripts, "0", "1")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "20 passed, 0 failed, 0 skipped")


def test_a_test_that_passes_by_itself_afterwards_has_passed_and_is_named(scripts: Path) -> None:
    done = all_of_them(scripts, "1 tests/a.py::test_late", "0")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "21 passed, 0 failed, 0 skipped")
    assert "passed when run again by itself: tests/a.py::test_late\n" in done.stdout


@pytest.mark.parametrize(
    ("first", "second", "failed"),
    [
        ("1 tests/a.py::test_wrong", "1", 1),  # it fails by itself too
        ("1 a b c", "0", 3),  # that many are not late by chance
        ("2 tests/a.py", "0", 1),  # a module that cannot be imported
        ("137 tests/a.py::test_one", "0", 1),  # the run was killed: who knows what was left
        ("1", "0", 0),  # it failed, and no test did
    ],
)
def test_what_failed_has_failed(scripts: Path, first: str, second: str, failed: int) -> None:
    done = all_of_them(scripts, first, second)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith(f" passed, {failed} failed, 0 skipped")


def test_what_runs_by_itself_gets_its_modules_only(scripts: Path) -> None:
    all_of_them(scripts, "0", "1")
    (words,) = (scripts / "ran").read_text().splitlines()
    assert words.split()[-2:] == ["tests/a.py", "tests/b.py"]


def test_the_main_path_has_no_run_for_none(scripts: Path) -> None:
    assert all_of_them(scripts, "1", "1", "--smoke").returncode == 0
    (scripts / "alone").write_text("tests/a.py alone\ntests/b.py alone smoke\n")
    assert all_of_them(scripts, "1", "1", "--smoke").returncode == 1
    (words,) = (scripts / "ran").read_text().splitlines()
    assert words.split()[-2:] == ["--durations=5", "tests/b.py"]


def test_the_short_tiers_look_once(scripts: Path) -> None:
    (scripts / "alone").write_text("tests/a.py alone smoke\n")
    assert all_of_them(scripts, "1 tests/a.py::test_late", "0", "--smoke").returncode == 1
