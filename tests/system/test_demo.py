# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/demo``, as somebody sees it who has just cloned this: a sandbox inside this sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pexpect
import pytest

from demo.cases import CASES
from demo.stage import PASSWORD, PIN
from tests.support import CHECKOUT
from tests.support.process import run

DEMO = str(CHECKOUT / "scripts" / "demo")
SECONDS = 200
PROMPT = r"\(type help\) \$ "

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.mark.smoke
def test_each_case_ends_as_it_should_and_is_shown() -> None:
    done = run([DEMO, "--auto"], seconds=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"case=(\S+) verdict=(\S+) ms=(\d+)", done.stdout)
    assert [line[:2] for line in lines] == [(case.name, case.expected) for case in CASES]
    for case in CASES:
        assert case.command in done.stdout
    assert PIN not in done.stdout
    assert PASSWORD not in done.stdout


@pytest.mark.parametrize("arguments", [["--what"], ["--auto", "more"]])
def test_wrong_usage_starts_nothing(arguments: list[str]) -> None:
    done = run([DEMO, *arguments], seconds=SECONDS)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert not done.stdout


@pytest.fixture
def prompt() -> Iterator[pexpect.spawn[str]]:
    child = pexpect.spawn(DEMO, encoding="utf-8", timeout=SECONDS, dimensions=(50, 100))
    child.expect(PROMPT)
    yield child
    child.close(force=True)


def answer(child: pexpect.spawn[str], command: str, *answers: str) -> str:
    """The text that is shown from `command` to the next prompt, with hidden prompts answered."""
    child.sendline(command)
    shown = ""
    for secret in answers:
        child.expect(r"(?:Password|PIN[^:\n]*): ")  # a ukey's own word may follow at once
        shown += child.before + child.after
        child.sendline(secret)
    child.expect(PROMPT)
    return shown + str(child.before)


def test_a_person_can_try_it_at_the_prompt(prompt: pexpect.spawn[str]) -> None:
    assert "sudo rmpubkey demo" in answer(prompt, "help")
    in_shell = "-c 'echo in:$(id -un)'"
    assert "in:demo" in answer(prompt, f"su - demo {in_shell}", PASSWORD, PIN)
    assert "removed" in answer(prompt, "softkey remove")
    assert "is not inserted" in answer(prompt, f"sleep 1; su - demo {in_shell}", PASSWORD)
    late = f"(sleep 2; softkey insert) & su - demo {in_shell}"
    assert "in:demo" in answer(prompt, late, PASSWORD, PIN)
    assert "in:demo" in answer(prompt, "ssh demo@localhost 'echo in:$(id -un)'", PASSWORD, PIN)
    assert "DEMO0001" in answer(prompt, "sudo ukey list")
    assert "verdict=SUCCESS" in answer(prompt, "tail -n 50 /var/log/auth.log")
    prompt.sendline("exit")
    prompt.expect(pexpect.EOF)
    prompt.wait()
    assert prompt.exitstatus == 0
