# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/acceptance``: what it takes for passed, what it writes down, and README's table."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from acceptance import __main__ as command
from acceptance import steps
from acceptance.person import Later
from acceptance.report import Came, Report, ReportError, table
from acceptance.steps import STEPS, Step
from tests.support import CHECKOUT
from tests.support.process import run

ACCEPTANCE = CHECKOUT / "scripts/acceptance"
TESTED_ON = sorted((CHECKOUT / "docs/tested-on").glob("*.json"))
LINE = "event=authentication user={user} uid=1000 service={service} caller=0 verdict={verdict} id=1"
#: All that a report may hold.
CELLS = {"version", "host", "machine", "kernel", "pam", "ssh", "pcscd", "python", "systemd"}
CELLS |= {"selinux", "pam_ukey", "ukey", "on", "by", "steps"}


class Hands:
    """Somebody for whom each step comes out as the log is told."""

    def __init__(self, came: Came = Came.PASSED) -> None:
        self.came, self.did = came, list[str]()
        self.verdicts: dict[str, str] = {}
        self._log = [LINE.format(user="demo", service="su", verdict="SUCCESS")]  # of yesterday

    def do(self, step: Step) -> Came:
        self.did.append(step.name)
        if step.expected is not None and step.name not in self.verdicts:
            (service, *_), verdict = step.expected
            self.attempt("demo", service, verdict)
        elif step.name in self.verdicts:
            self.attempt("demo", "login", self.verdicts[step.name])
        return self.came

    def attempt(self, user: str, service: str, verdict: str) -> None:
        self._log.append(LINE.format(user=user, service=service, verdict=verdict))

    def log(self) -> Sequence[str]:
        return list(self._log)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No log is waited for; nothing is asked of this host."""
    monkeypatch.setattr(command, "_LOG_SECONDS", 0)
    fine = tuple(dataclasses.replace(step, wrong=str) for step in STEPS)
    monkeypatch.setattr(command, "STEPS", fine)


def test_each_step_that_the_log_confirms_has_passed(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.json")
    assert command.walk(report, Hands(), "a test") == 0
    assert Report(report.path).came == {step.name: Came.PASSED for step in STEPS}
    content = json.loads(report.path.read_text())
    assert set(content) == CELLS


def test_what_the_log_does_not_confirm_has_failed_whatever_is_said(tmp_path: Path) -> None:
    hands = Hands()
    hands.verdicts = {"su": "SUCCESS", "wrong PIN": "SUCCESS"}
    report = Report(tmp_path / "report.json")
    assert command.walk(report, hands, "a test") == 1
    failed = {name for name, came in report.came.items() if came is Came.FAILED}
    assert failed == {"su", "wrong PIN"}  # su's line of before is none of this attempt
    assert report.why == dict.fromkeys(failed, "the log has login SUCCESS")


def test_a_host_that_is_not_as_it_should_be_fails_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [dataclasses.replace(step, wrong=lambda: "left: sshd") for step in STEPS[-1:]]
    monkeypatch.setattr(command, "STEPS", left)
    report = Report(tmp_path / "report.json")
    assert command.walk(report, Hands(), "a test") == 1
    assert report.why == {"undo": "left: sshd"}


def test_a_stack_names_the_module_only_outside_of_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_PAM_D", tmp_path)
    (tmp_path / "login").write_text("# pam_ukey.so\nauth required pam_unix.so # pam_ukey\n")
    assert steps.stacks() == []
    (tmp_path / "su").write_text("auth [success=ok default=die] pam_ukey.so\n")
    assert steps.stacks() == ["su"]


def test_a_report_is_gone_on_with(tmp_path: Path) -> None:
    """What has passed is not done again; what failed or was skipped is."""
    path = tmp_path / "report.json"
    report = Report(path)
    for step in STEPS[:4]:
        report.note(step.name, Came.PASSED)
    report.note(STEPS[4].name, Came.FAILED, "the log has no attempt")
    hands = Hands()
    command.walk(Report(path), hands, "a test")
    assert hands.did == [step.name for step in STEPS[4:]]
    assert Report(path).why == {}


def test_a_person_may_stop_and_go_on_another_time(tmp_path: Path) -> None:
    class Tired(Hands):
        def do(self, step: Step) -> Came:
            if step.name == "bind":
                raise Later
            return super().do(step)

    path = tmp_path / "report.json"
    with pytest.raises(Later):
        command.walk(Report(path), Tired(), "a test")
    assert Report(path).came == {"install": Came.PASSED}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2, "steps": []}', '{"version": 1}']
)
def test_what_is_no_report_is_not_gone_on_with(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ReportError):
        Report(path)
    assert path.read_text() == content


def test_the_readme_has_the_table_of_the_reports() -> None:
    text = (CHECKOUT / "README.md").read_text()
    shown = re.search(r"<!-- tested on -->\n(.*?)\n\n", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == table(map(Report, TESTED_ON))
    done = run([ACCEPTANCE, "--table", *TESTED_ON])
    assert (done.returncode, done.stdout) == (0, shown[1] + "\n")


@pytest.mark.parametrize("path", TESTED_ON, ids=lambda path: path.stem)
def test_a_report_holds_versions_and_outcomes_only(path: Path) -> None:
    content = json.loads(path.read_text())
    assert set(content) == CELLS
    assert [set(row) - {"why"} for row in content["steps"]] == [{"step", "came"}] * len(STEPS)


@pytest.mark.parametrize(
    "arguments", [[], ["--what"], ["--auto"], ["--suite"], ["--auto", "a", "b"], ["a", "b"]]
)
def test_wrong_usage_starts_nothing(arguments: list[str], tmp_path: Path) -> None:
    done = run([ACCEPTANCE, *arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
