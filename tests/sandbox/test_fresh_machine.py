# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A machine that has nothing but Debian 12's required packages gets its sandboxes by itself."""

from __future__ import annotations

import re

import pytest

from tests.support import CHECKOUT
from tests.support.process import run

SANDBOX = CHECKOUT / "scripts/sandbox"

#: Two at once on a machine without a root; then a third, on what they left.
SCRIPT = r"""
apt-mark showmanual >/tmp/before
scripts/sandbox echo first >/tmp/first 2>/tmp/first.log &
first=$!
scripts/sandbox echo second >/tmp/second 2>/tmp/second.log &
second=$!
wait $first
wait $second
cat /tmp/first /tmp/second
cat /tmp/*.log | grep -c 'built in'
scripts/sandbox python3 -c 'import smartcard, cryptography, jeepney; print("third")' 2>&1
ls -A /var/cache/ukey-sandbox | sed 's/-.*//'
echo installed:
apt-mark showmanual | comm -13 /tmp/before -
find /etc/init.d /usr/lib/systemd/system -newer /tmp/before -type f
"""


@pytest.mark.network
@pytest.mark.timeout(600)
def test_two_at_once_build_one_root_and_the_machine_gets_only_the_bootstrap_tool() -> None:
    done = run([SANDBOX, "--bare", "--network", "host", "sh", "-euc", SCRIPT], seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
    told, installed = done.stdout.split("installed:\n")
    assert told.split() == ["first", "second", "1", "third", "full", "lock", "mnt"]
    assert installed.split() == ["mmdebstrap"]


@pytest.mark.network
@pytest.mark.timeout(900)
def test_both_commands_of_the_readme_work_on_it() -> None:
    script = "scripts/demo --auto\necho ---\nscripts/test --smoke"
    done = run([SANDBOX, "--bare", "--network", "host", "sh", "-euc", script], seconds=900)
    assert done.returncode == 0, done.stdout + done.stderr
    shown, tested = done.stdout.split("\n---\n")
    assert len(re.findall(r"^ *case=\S+ verdict=\S+ ms=\d+$", shown, re.MULTILINE)) >= 4
    totals = re.search(r"^(\d+) passed, 0 failed", tested, re.MULTILINE)
    assert totals is not None, tested
    assert int(totals[1]) >= 20
