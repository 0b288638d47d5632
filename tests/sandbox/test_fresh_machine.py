# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A machine that has nothing but Debian 12's required packages gets its sandboxes by itself, and
both commands of the README work on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.support import CHECKOUT
from tests.support.process import run

pytestmark = [pytest.mark.network, pytest.mark.timeout(1200)]

SANDBOX = CHECKOUT / "scripts/sandbox"

#: The README's first command and another that needs a root, at once on a machine without one; then
#: its second command, on what they left.
SCRIPT = r"""
apt-mark showmanual >/tmp/before
scripts/demo --auto >/tmp/demo 2>/tmp/demo.log &
demo=$!
scripts/sandbox python3 -c 'import smartcard, cryptography, jeepney; print("other")' \
    >/tmp/other 2>/tmp/other.log &
other=$!
wait $demo || { cat /tmp/demo.log >&2; exit 1; }
wait $other || { cat /tmp/other.log >&2; exit 1; }
scripts/test --smoke >/tmp/smoke 2>/tmp/smoke.log || { cat /tmp/smoke /tmp/smoke.log >&2; exit 1; }
cat /tmp/demo
echo ---
cat /tmp/other
cat /tmp/*.log | grep -c 'built in'
ls -A /var/cache/ukey-sandbox | sed 's/-.*//'
echo ---
cat /tmp/smoke
echo ---
apt-mark showmanual | comm -13 /tmp/before -
find /etc/init.d /usr/lib/systemd/system -newer /tmp/before -type f
"""


@dataclass(frozen=True)
class Told:
    """By each part of the script."""

    demo: str
    other: list[str]
    smoke: str
    installed: list[str]


@pytest.fixture(scope="module")
def told() -> Told:
    done = run([SANDBOX, "--bare", "--network", "host", "sh", "-euc", SCRIPT], seconds=1150)
    assert done.returncode == 0, done.stdout + done.stderr
    demo, other, smoke, installed = done.stdout.split("---\n")
    return Told(demo, other.split(), smoke, installed.split())


def test_all_that_runs_shares_one_root(told: Told) -> None:
    assert told.other == ["other", "1", "full", "lock", "mnt"]


def test_the_demo_shows_logins(told: Told) -> None:
    assert len(re.findall(r"^ *case=\S+ verdict=\S+ ms=\d+$", told.demo, re.MULTILINE)) >= 4


def test_the_tests_pass(told: Told) -> None:
    totals = re.search(r"^(\d+) passed, 0 failed", told.smoke, re.MULTILINE)
    assert totals is not None, told.smoke
    assert int(totals[1]) >= 20


def test_the_machine_gets_only_the_bootstrap_tool(told: Told) -> None:
    assert told.installed == ["mmdebstrap"]
