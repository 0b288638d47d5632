# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real su, login and sshd with a PIV card behind the real pcscd, bound by getpubkey."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.enrolled import Enrolled, enrol
from tests.support.host import Host


@pytest.fixture(params=["sm2", "p256", "rsa2048", "plain p256"])
def enrolled(host: Host, request: pytest.FixtureRequest) -> Iterator[Enrolled]:
    build, _, algorithm = str(request.param).rpartition(" ")
    more: dict[str, Any] = {} if build else {"management_key": bytes(range(24))}
    made = enrol(host, insert=host.pivcard, pairs={"9A": algorithm}, vendor=not build, **more)
    made.stacks(pauses=False)
    yield made


def test_su_login_and_sshd_let_in_with_a_piv_card(enrolled: Enrolled) -> None:
    host, user = enrolled.host, enrolled.user
    wanted = ["Password:", f"PIN of ukey {enrolled.ukey.serial}:"]
    for program in (host.su, host.login):
        outcome = program(user, enrolled.right)
        assert outcome.allowed, outcome.screen + host.authlog.text
        assert outcome.prompts == wanted
    enrolled.sshd()
    outcome = host.ssh(user, enrolled.right)
    assert outcome.allowed, outcome.screen + host.authlog.text
    refused = host.su(user, [user.password, "000000"])
    assert not refused.allowed
    assert enrolled.ukey.tries_left() == 2


def test_the_card_is_listed_and_logged_out_after_a_login(host: Host) -> None:
    made = enrol(host, insert=host.pivcard, pairs={"9A": "p256"}, vendor=False)
    made.stacks(pauses=False)
    made.bus()
    told = subprocess.run(["ukey", "list"], capture_output=True, text=True, timeout=30, check=True)
    assert made.ukey.serial in told.stdout
    assert made.host.su(made.user, made.right).allowed
    assert made.ukey.control.apdus()[-1] == (0x20, 0x9000)  # VERIFY with P1 FF
