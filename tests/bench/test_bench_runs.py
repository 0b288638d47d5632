# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/bench`` as a person calls it: a sandbox inside this sandbox."""

from __future__ import annotations

import json

import pytest

from tests.support import CHECKOUT
from tests.support.process import run

BENCH = str(CHECKOUT / "scripts" / "bench")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_login_is_a_right_one_and_is_timed() -> None:
    done = run([BENCH, "--rounds", "2", "--json"], seconds=240)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    logins = {login["key"]: login["samples"] for login in figures["logins"]}
    assert list(logins) == ["pam_permit", "pam_u2f", "pam_p11", "pam_ukey.so", "pam_python"]
    assert all(len(samples) == 2 and min(samples) > 0 for samples in logins.values())
    pairs = zip(figures["session"]["card"], figures["session"]["total"], strict=True)
    assert all(0 < card < total for card, total in pairs)
    assert all(floor > 0 for floor in figures["session"]["floor"])
    assert len(figures["memory"]) == 4  # three processes, and all of them
    assert figures["sm2"]["engine"] == "openssl"
    assert all(len(turns) == 2 for turns in (figures["sm2"]["ours"], figures["sm2"]["openssl"]))


@pytest.mark.parametrize(
    "arguments", [["--what"], ["--rounds"], ["--rounds", "0"], ["--rounds", "few"]]
)
def test_wrong_usage_measures_nothing(arguments: list[str]) -> None:
    done = run([BENCH, *arguments], seconds=30)
    assert done.returncode == 2
    assert "--help" in done.stderr
