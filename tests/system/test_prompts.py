# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a person learns by the real sudo and ssh, if texts do not reach them, or reach them too
late."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.contract.names import RECORDS_DIR
from tests.support.host import Host
from tests.support.process import must
from tests.support.stacks import without_pauses
from tests.support.terminal import Terminal

from .conftest import EXAMPLES, Enrolled, enrol

CONFIG = """
[authentication]
wait_for_ukey = 10
[services.sudo]
factors_from_afar = ["ukey"]
[services.sshd]
factors_from_afar = ["ukey"]
"""


PASSWORD = r".*password for demo:"


@pytest.fixture(scope="module")
def enrolled() -> Iterator[Enrolled]:
    with Host() as host:
        made = enrol(host, CONFIG)
        made.stacks(pauses=False)
        must(["usermod", "-aG", "sudo", made.user.name])
        common = (EXAMPLES / "debian/helpful/common-auth").read_text()
        host.pam.stack("common-auth", without_pauses(common))
        host.pam.stack("sudo", Path("/etc/pam.d/sudo").read_text())
        yield made


@pytest.fixture
def sudo(enrolled: Enrolled) -> Iterator[Terminal]:
    """sudo that asks for the password, in a terminal of the person's own."""
    user = enrolled.user
    terminal = enrolled.host.terminal()
    shell = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups"]
    terminal.start([*shell, "sudo", "-k", "id", "-u"])
    yield terminal
    terminal.finish()


def answer(terminal: Terminal, question: str, typed: str) -> None:
    asked = terminal.wait_question()
    assert asked is not None, terminal.screen
    assert re.fullmatch(question, asked), terminal.screen
    terminal.answer(typed)


def test_sudo_asks_for_a_ukey_that_is_not_in(enrolled: Enrolled, sudo: Terminal) -> None:
    serial = enrolled.ukey.serial
    enrolled.ukey.remove()
    answer(sudo, PASSWORD, enrolled.user.password)
    assert sudo.wait_question() == f"Insert ukey {serial}. Then press Enter:"
    with enrolled.ukey.asked():
        enrolled.ukey.insert()
    sudo.answer("")
    answer(sudo, f"PIN of ukey {serial}:", enrolled.pin)
    assert sudo.wait_end() == 0
    assert sudo.screen.endswith("\n0\r\n")


def test_sudo_says_why_the_attempt_before_failed(enrolled: Enrolled, sudo: Terminal) -> None:
    answer(sudo, PASSWORD, enrolled.user.password)
    answer(sudo, "PIN of ukey .*:", "00000000")
    answer(sudo, PASSWORD, enrolled.user.password)
    asked = sudo.wait_question()
    assert asked is not None
    assert "The PIN is wrong. 9 tries are left.\r\n" in sudo.screen
    assert "(9 tries left)" in asked
    sudo.answer(enrolled.pin)
    assert sudo.wait_end() == 0


def test_sudo_says_why_it_asks_for_no_pin(enrolled: Enrolled, sudo: Terminal) -> None:
    record = Path(RECORDS_DIR, enrolled.user.name)
    kept = record.read_bytes()
    record.write_bytes(kept[:-20])
    try:
        answer(sudo, PASSWORD, enrolled.user.password)
        asked = sudo.wait_question()
        assert asked is not None
        assert asked.startswith("The record of your ukey on this host cannot be used.")
        assert asked.endswith(" Press Enter:")
        sudo.answer("")
        assert sudo.wait_question() is not None
    finally:
        sudo.finish()
        record.write_bytes(kept)


def test_ssh_asks_for_a_ukey_that_is_not_in(enrolled: Enrolled) -> None:
    serial = enrolled.ukey.serial
    enrolled.sshd()
    enrolled.ukey.remove()

    def insert() -> str:
        with enrolled.ukey.asked():
            enrolled.ukey.insert()
        return ""

    answers = [lambda: enrolled.user.password, insert, lambda: enrolled.pin]
    outcome = enrolled.host.ssh(enrolled.user, answers)
    assert outcome.allowed, outcome.screen
    ask = f"Insert ukey {serial}. Then press Enter:"
    assert outcome.prompts == ["Password:", ask, f"PIN of ukey {serial}:"]
