# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/demo``, as somebody sees it who has just cloned this: a sandbox inside this sandbox."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator

import pexpect
import pytest

from demo.cases import CASES
from demo.prompt import PINS, TRY, text
from demo.stage import ADMIN_PIN, PASSWORD, PIN
from demo.words import CHINESE, filled, said, speak
from tests.softkey.state import FACTORY_PIN
from tests.support import CHECKOUT
from tests.support.process import run
from tools.commands import parsers
from tools.output import width

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


def test_what_can_be_tried_is_a_table_of_commands_that_there_are() -> None:
    shown = text("on a console")
    commands = {parser.prog for parser in parsers() if not parser.manual.subcommands}
    assert ADMIN_PIN in shown
    for command, what in TRY:
        what = said(what, **PINS)
        assert re.search(f"^  {re.escape(command)}  +{re.escape(what)}$", shown, re.MULTILINE)
        words = shlex.split(command.partition("|")[0].removeprefix("sudo "))
        assert words[0] != "ukey" or {" ".join(words[:2]), " ".join(words[:3])} & commands


@pytest.fixture
def chinese() -> Iterator[None]:
    speak("zh_CN.UTF-8")
    yield
    speak("C.UTF-8")


def test_what_the_demo_tells_is_there_in_chinese(chinese: None) -> None:
    """All of it, with the same facts; and it fits."""
    told = {case.story for case in CASES} | {name for case in CASES for _, name in case.answers}
    told |= {what for _, what in TRY} | {"in a terminal's window", "on a console"}
    for source in (CHECKOUT / "demo").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "said":
                told |= {str(x.value) for x in node.args[:1] if isinstance(x, ast.Constant)}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("stacks", "story"):
                told.add(ast.literal_eval(node.value))
    assert told == set(CHINESE)
    for english, there in CHINESE.items():
        assert re.findall(r"{\w+}", english) == re.findall(r"{\w+}", there), english
        assert all(width(line) <= 80 for line in filled(there, 78).split("\n"))
    assert "您是 visitor，在控制台上" in text("on a console")


@pytest.mark.parametrize(
    ("locale", "reached", "end"),
    [
        ("C.UTF-8", "starting pcscd", "Stopped."),
        ("zh_CN.UTF-8", "ukey DEMO0001 已绑定给 demo。", "已停止。"),
    ],
)
def test_ctrl_c_ends_it_without_a_traceback(locale: str, reached: str, end: str) -> None:
    """While it is set up, and while it shows logins, in the person's language."""
    environment = {**os.environ, "LANG": locale}
    child = pexpect.spawn(DEMO, encoding="utf-8", timeout=SECONDS, env=environment)
    child.expect_exact(reached)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert end in str(child.before)
    assert "Traceback" not in str(child.before)
    assert child.exitstatus == 130


@pytest.fixture
def prompt(request: pytest.FixtureRequest) -> Iterator[pexpect.spawn[str]]:
    """The demo at its prompt, in the locale that the test asks for."""
    child = pexpect.spawn(
        DEMO,
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(50, 100),
        env={**os.environ, "LC_ALL": getattr(request, "param", "C.UTF-8")},
    )
    child.expect(PROMPT)
    yield child
    child.close(force=True)


def answer(child: pexpect.spawn[str], command: str, *answers: str) -> str:
    """The text that is shown from `command` to the next prompt, with hidden prompts answered."""
    child.sendline(command)
    shown = ""
    for secret in answers:
        child.expect(r"(?:Password|PIN[^:：\n]*)(?:: |：)")  # a ukey's own word may follow at once
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
    assert "loglevel INFO" in answer(prompt, "ssh -G localhost")  # what PAM says is shown
    assert "inserted" in answer(prompt, "softkey2 insert")
    new = "second-1"
    changed = answer(prompt, "sudo chpinpw --serial DEMO0002", FACTORY_PIN.decode(), new, new)
    assert "PIN of ukey DEMO0002 is changed" in changed
    bound = answer(prompt, "sudo getpubkey visitor --serial DEMO0002", new)
    assert "bound to visitor" in bound
    unblocked = answer(prompt, "sudo chpinpw --unblock DEMO0001", ADMIN_PIN, PIN, PIN)
    assert "unlocked" in unblocked
    tried = answer(prompt, "sudo ukey pam try demo --service login", PASSWORD, PIN)
    assert "demo gets in by login" in tried
    assert "verdict=SUCCESS" in answer(prompt, "tail -n 50 /var/log/auth.log")
    prompt.sendline("exit")
    prompt.expect(pexpect.EOF)
    prompt.wait()
    assert prompt.exitstatus == 0


@pytest.mark.parametrize("prompt", ["zh_CN.UTF-8"], indirect=True)
def test_a_person_who_reads_chinese_can_try_a_login_too(prompt: pexpect.spawn[str]) -> None:
    """In a terminal's window, which is no console."""
    tried = answer(prompt, "sudo ukey pam try demo --service login", PASSWORD, PIN)
    assert "demo 可以经 login 登录" in tried
