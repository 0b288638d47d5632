# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""By the real su and pcscd: a ukey that is in, or was, and cannot be used is told as what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import pcsc

from .conftest import Enrolled


@pytest.fixture
def without_a_service(enrolled: Enrolled) -> Enrolled:
    """A keyservice that starts later, so that another program can be first at the reader."""
    enrolled.keyservice.stop()
    return enrolled


def test_a_reader_that_another_program_has_is_told_as_that(without_a_service: Enrolled) -> None:
    enrolled = without_a_service
    with pcsc.alone(enrolled.ukey.reader):
        enrolled.keyservice = enrolled.host.keyservice(enrolled.config)
        enrolled.host.authlog.wait_for("probe: .*another program holds it for itself")
        outcome = enrolled.host.su(enrolled.user, enrolled.right)
        assert not outcome.allowed
        assert outcome.prompts == ["Password:"]
        held = f"The reader '{enrolled.ukey.reader}' cannot be used: another program holds it"
        assert held in outcome.screen, outcome.screen
        enrolled.host.authlog.wait_for('verdict=AUTHINFO_UNAVAIL reason="UkeyHeld: ')
    with enrolled.ukey.asked():
        enrolled.host.su(enrolled.user, enrolled.right)
    assert enrolled.host.su(enrolled.user, enrolled.right).allowed


def restart_pcscd(enrolled: Enrolled) -> None:
    enrolled.pcscd.stop()
    enrolled.pcscd = enrolled.host.pcscd(enrolled.slots)
    enrolled.ukey.wait_seen()


def let_it_come_back(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()
    enrolled.ukey.put_in()


def pull(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()


@pytest.mark.parametrize(
    ("do", "told", "name"),
    [
        (restart_pcscd, "away for a moment: pcscd ended, or was started again.", "UkeyRestarted"),
        (let_it_come_back, "away for a moment: it went and came back,", "UkeyRestarted"),
        (pull, "The ukey was taken out too early.", "UkeyAbsent"),
    ],
    ids=["pcscd restarted", "came back", "pulled"],
)
def test_what_happened_while_the_pin_was_asked_is_told(
    enrolled: Enrolled, do: Callable[[Enrolled], None], told: str, name: str
) -> None:
    def meanwhile() -> str:
        do(enrolled)
        return enrolled.pin

    outcome = enrolled.host.su(enrolled.user, [enrolled.user.password, meanwhile])
    assert not outcome.allowed
    assert told in outcome.screen, outcome.screen
    enrolled.host.authlog.wait_for(f'verdict=AUTHINFO_UNAVAIL reason="{name}: ')
    assert enrolled.ukey.tries_left() == 10
