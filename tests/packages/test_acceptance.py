# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/acceptance --auto``: every step, on Debian 12 and 13 with their packages alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acceptance.steps import STEPS
from tests.support import CHECKOUT
from tests.support.host import PIN
from tests.support.process import run

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("suite", "version"), [("bookworm", "12"), ("trixie", "13")])
def test_every_step_passes(deb: Path, tmp_path: Path, suite: str, version: str) -> None:
    report = tmp_path / "report.json"
    options = ["--auto", "--suite", suite, "--package", str(deb), str(report)]
    done = run([CHECKOUT / "scripts/acceptance", *options], seconds=380)
    assert done.returncode == 0, done.stdout + done.stderr
    text = report.read_text()
    content = json.loads(text)
    assert f"Debian GNU/Linux {version} " in content["host"]
    assert [row["came"] for row in content["steps"]] == ["passed"] * len(STEPS)
    for secret in (PIN.decode(), "correct horse", "SK"):
        assert secret not in text
