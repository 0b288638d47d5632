# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice is killed in the middle of a PIN change: the ukey has the old PIN or the new."""

from __future__ import annotations

import subprocess
from functools import partial

import pytest

from keyservice.contract.pam import PamCode
from tests.support.process import wait_until
from tests.support.programs import Outcome

from .conftest import CONFIG, Enrolled

pytestmark = pytest.mark.slow

NEW_PIN = "907156"
CHANGE_PIN = 0x16
#: More APDUs than a PIN change has; the loop ends at the first one that is not reached.
MANY = 40
#: ms for which a ukey holds an answer back: longer than it takes to kill the process that waits.
HELD = 1000


def change(enrolled: Enrolled, old: str, new: str) -> subprocess.Popen[str]:
    command = ["chpinpw", "--serial", enrolled.ukey.serial]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdin is not None
    process.stdin.write(f"{old}\n{new}\n{new}\n")
    process.stdin.close()
    return process


def reached(enrolled: Enrolled, process: subprocess.Popen[str], number: int) -> bool:
    """The ukey has got that many APDUs, or there are no more."""
    return len(enrolled.ukey.control.apdus()) >= number or process.poll() is not None


def log_in(enrolled: Enrolled, pin: str) -> Outcome:
    return enrolled.host.su(enrolled.user, [enrolled.user.password, pin])


def restart(enrolled: Enrolled) -> None:
    """A crash, and another start. The ukey goes on with its command, as one in a USB port does."""
    enrolled.keyservice.kill()
    enrolled.ukey.control.behave()
    enrolled.start_keyservice(CONFIG)


@pytest.mark.timeout(600)
def test_killed_after_every_apdu_of_a_pin_change(enrolled: Enrolled) -> None:
    ukey, seen = enrolled.ukey, set[bool]()
    for number in range(1, MANY):
        assert log_in(enrolled, enrolled.pin).allowed
        ukey.control.reset_apdus()
        ukey.control.misbehave(slow=HELD, at=number)
        process = change(enrolled, enrolled.pin, NEW_PIN)
        wait_until(partial(reached, enrolled, process, number), f"APDU {number} of a PIN change")
        if process.poll() is not None:
            break
        changed = any(ins == CHANGE_PIN and sw == 0x9000 for ins, sw in ukey.control.apdus())
        restart(enrolled)
        process.wait(20)
        seen.add(changed)
        wrong, right = (enrolled.pin, NEW_PIN) if changed else (NEW_PIN, enrolled.pin)
        refused = log_in(enrolled, wrong)
        assert refused.code is PamCode.AUTH_ERR, f"killed after APDU {number}: {refused}"
        assert len(refused.prompts) == 2
        assert log_in(enrolled, right).allowed, f"killed after APDU {number}"
        if changed:
            change(enrolled, NEW_PIN, enrolled.pin).wait(20)
    print(f"killed after each of {number - 1} APDUs of a PIN change")
    assert number - 1 >= 6
    assert seen == {True, False}
    assert process.returncode == 0, "undisturbed, the PIN change went through"
    assert change(enrolled, NEW_PIN, enrolled.pin).wait(20) == 0
