# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Everything is down: the break-glass account gets in on a local console, and nobody else does."""

from __future__ import annotations

import pytest

from tests.support.authlog import AUTHPRIV

from .conftest import Enrolled

GROUP = "ukey-breakglass"


@pytest.fixture(params=("helpful", "uniform"))
def dark(enrolled: Enrolled, request: pytest.FixtureRequest) -> Enrolled:
    """``demo`` is enrolled; neither keyservice, nor pcscd, nor bus is there any more."""
    enrolled.stacks(request.param)
    enrolled.keyservice.stop()
    enrolled.pcscd.stop()
    return enrolled


def test_the_break_glass_account_passes_on_a_console_and_the_log_is_alarmed(dark: Enrolled) -> None:
    keeper = dark.host.user("bob", "battery staple", groups=[GROUP])
    for outcome in (
        dark.host.login(keeper, [keeper.password]),
        dark.host.su(keeper, [keeper.password]),
    ):
        assert outcome.allowed, outcome.screen + dark.host.authlog.text
        assert outcome.prompts == ["Password:"]
    alert = dark.host.authlog.wait_for("ukey-breakglass: the password alone .*user=bob")
    assert (alert.facility, alert.severity) == (AUTHPRIV, "alert")


def test_its_password_must_be_right(dark: Enrolled) -> None:
    keeper = dark.host.user("bob", "battery staple", groups=[GROUP])
    assert not dark.host.login(keeper, ["wrong", "wrong"]).allowed


def test_it_passes_nowhere_else(dark: Enrolled) -> None:
    host = dark.host
    keeper = host.user("bob", "battery staple", groups=[GROUP])
    answers = [keeper.password, dark.pin]
    dark.sshd()
    assert not host.ssh(keeper, answers).allowed
    assert not host.ssh(keeper, answers, far=True).allowed
    assert not host.su(keeper, answers, terminal=host.terminal()).allowed
    assert not host.login(keeper, answers, terminal=host.terminal()).allowed


def test_nobody_else_passes(dark: Enrolled) -> None:
    host = dark.host
    alice = host.user("alice", "battery staple")
    assert not host.login(dark.user, dark.right).allowed
    assert not host.su(dark.user, dark.right).allowed
    assert not host.login(alice, [alice.password, dark.pin]).allowed, "not enrolled"
