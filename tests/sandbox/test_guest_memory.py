# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/vm-test`` and its kin where a virtual machine has no room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import run


@pytest.mark.parametrize(
    ("script", "ci", "status", "said"),
    [
        ("vm-test", False, 75, "scripts/vm-test: skipped: 976 MB of memory are free, and a guest"),
        ("vm-test", True, 1, "scripts/vm-test: skipped: 976 MB of memory are free, and a guest"),
        ("vm", False, 75, "scripts/vm: 976 MB of memory are free, and a guest takes 1536"),
        ("vm-bench", False, 75, "scripts/vm-bench: 976 MB of memory are free, and a guest"),
    ],
)
def test_it_says_so(script: str, ci: bool, status: int, said: str, tmp_path: Path) -> None:
    little = tmp_path / "meminfo"
    little.write_text("MemTotal: 24000000 kB\nMemAvailable: 1000000 kB\n")
    command = f"mount --bind {little} /proc/meminfo && exec {CHECKOUT}/scripts/{script}"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | ({"CI": "true"} if ci else {})
    done = run(["unshare", "--mount", "sh", "-c", command], env=environment)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
