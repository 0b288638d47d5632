# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What linters and type checkers say of the whole project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.static.sources import files, is_shell
from tests.support import CHECKOUT
from tests.support.process import run

BIN = Path(sys.executable).parent


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    check(run([BIN / "ruff", "check", "--output-format", "concise"], cwd=CHECKOUT))


def test_ruff_would_format_nothing_otherwise() -> None:
    check(run([BIN / "ruff", "format", "--check"], cwd=CHECKOUT))


@pytest.mark.timeout(600)
def test_mypy_strict_finds_nothing() -> None:
    # Nothing reads what is kept in a sandbox.
    check(run([BIN / "mypy", "--cache-dir=/dev/null"], cwd=CHECKOUT, seconds=240))


def test_shellcheck_finds_nothing() -> None:
    scripts = [path for path in files(CHECKOUT) if is_shell(path)]
    assert CHECKOUT / "scripts/sandbox" in scripts
    check(run(["shellcheck", "--external-sources", *scripts], cwd=CHECKOUT))
