# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The word of sudo's own cvtsudoers on rules that ask for nothing, and of sudo itself on the
same."""

from __future__ import annotations

import pytest

from tests.pamcheck.around.conftest import Planted, kinds
from tests.support.host import Host
from tests.support.process import run
from tools.pamcheck.finding import Severity

FILE = "/etc/sudoers.d/planted"
QUIET = "Defaults timestamp_timeout=0\n"


def rules(here: Planted, text: str) -> None:
    here.write(FILE, QUIET + text + "\n", 0o440)


def test_a_cured_sudo_leaves_nothing_open(here: Planted) -> None:
    rules(here, "%admins ALL=(ALL:ALL) ALL\nroot ALL=NOPASSWD: ALL\n#0 ALL=NOPASSWD: ALL")
    assert here.found("sudo") == []


def test_debians_own_remembers(here: Planted) -> None:
    (finding,) = here.found("sudo")
    assert (finding.kind, finding.severity) == ("sudo-remembers", Severity.NOTE)
    assert "Within 15 minutes" in finding.text
    here.write(FILE, "Defaults timestamp_timeout=-1\n", 0o440)
    (finding,) = here.found("sudo")
    assert finding.place == f"{FILE}:1"
    assert "until the next boot" in finding.text


#: The rule; how bad; the line of the file; words of the text.
PLANTS = {
    "everything": ("alice ALL=NOPASSWD: ALL", Severity.OPEN, 2, "sudo asks alice for nothing"),
    "as somebody": ("alice ALL=(bob) NOPASSWD: ALL", Severity.OPEN, 2, "runs ALL as bob"),
    "a group": ("\n%ops ALL=(ALL) NOPASSWD: ALL", Severity.OPEN, 3, "asks %ops for nothing"),
    "a uid": ("#1234 ALL=NOPASSWD: ALL", Severity.OPEN, 2, "asks #1234 for nothing"),
    "all but one": ("ALL,!carol ALL=NOPASSWD: ALL", Severity.OPEN, 2, "asks ALL, !carol for"),
    "aliases": (
        "User_Alias OPS = alice, %ops\nCmnd_Alias POWER = /sbin/reboot\nOPS ALL=NOPASSWD: POWER",
        Severity.NOTE,
        4,
        "asks alice, %ops for nothing before it runs /sbin/reboot as root",
    ),
    "a few commands": (
        "bob ALL=PASSWD: ALL, NOPASSWD: /bin/a, /bin/b, /bin/c, /bin/d",
        Severity.NOTE,
        2,
        "/bin/a, /bin/b, /bin/c, … as root. Whether these commands",
    ),
    **{
        f"a shell by another name: {command}": (
            f"alice ALL=NOPASSWD: {command}",
            Severity.OPEN,
            2,
            "as root.",
        )
        for command in (
            "/bin/bash",
            "/usr/local/bin/zsh",
            "/bin/su",
            '/bin/su ""',
            "/bin/su - root",
            "/bin/bash -c *",
            "/bin/*",
            "/usr/bin/*sh",
            "/bin/",
            "/usr/bin/env",
            "/usr/bin/env *",
            "/usr/bin/python3",
            "sudoedit",
            "^/bin/.*$",
            "/bin/ls, !/bin/su, /bin/dash",
        )
    },
    **{
        f"a command that is one: {command}": (
            f"alice ALL=NOPASSWD: {command}",
            Severity.NOTE,
            2,
            "is for you to judge",
        )
        for command in (
            "/bin/su - postgres",
            "/bin/bash /opt/backup",
            "/usr/bin/env TZ=UTC /opt/backup *",
            "/opt/tools/*",
            "/opt/tools/",
            "sudoedit /etc/motd",
            "/bin/ls, !/bin/su",
            "^/opt/.*$",
        )
    },
    "elsewhere": ("alice mars=NOPASSWD: ALL", Severity.OPEN, 2, "On: mars."),
    "defaults": ("Defaults !authenticate", Severity.OPEN, 2, "asks nobody for anything"),
    "defaults of one": ("Defaults:bob !authenticate", Severity.OPEN, 2, "holds: bob."),
    "defaults as one": ("Defaults>root !authenticate", Severity.OPEN, 2, "holds: root."),
    "an exempt group": ("Defaults exempt_group=free", Severity.OPEN, 2, "members of group free"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found(here: Planted, name: str) -> None:
    text, severity, line, words = PLANTS[name]
    rules(here, text)
    (finding,) = here.found("sudo")
    assert (finding.kind, finding.severity) == ("sudo-without-password", severity)
    assert finding.place == f"{FILE}:{line}"
    assert words in finding.text


def test_an_included_file_is_named(here: Planted) -> None:
    here.write("/etc/sudo-more", "# NOPASSWD is said here only\nalice ALL=NOPASSWD: ALL\n", 0o440)
    rules(here, "@include /etc/sudo-more")
    assert kinds(here.found("sudo")) == [("sudo-without-password", "/etc/sudo-more:2")]


def test_rules_that_cannot_be_read_are_told(here: Planted) -> None:
    rules(here, "not a rule")
    (finding,) = here.found("sudo")
    assert (finding.kind, finding.remedy) == ("not-looked-at", "visudo -c")
    assert "syntax error" in finding.text


def test_rules_in_a_directory_are_told(here: Planted) -> None:
    rules(here, "")
    here.write("/etc/nsswitch.conf", "passwd: files\nsudoers: files sss\n")
    assert kinds(here.found("sudo")) == [("not-looked-at", "/etc/nsswitch.conf:2")]


def test_a_host_without_sudo_or_cvtsudoers_is_told(image: Planted) -> None:
    assert [f.text for f in image.found("sudo")] == ["Not looked at: sudo (no sudo is installed)."]
    image.write("/etc/sudoers", "alice ALL=NOPASSWD: ALL\n")
    (finding,) = image.found("sudo")
    assert "no cvtsudoers" in finding.text
    assert "grep" in finding.remedy


@pytest.mark.parametrize(
    ("text", "asked"), [("demo ALL=NOPASSWD: ALL", False), ("demo ALL=ALL", True)]
)
def test_sudo_itself_agrees(host: Host, here: Planted, text: str, asked: bool) -> None:
    demo = host.user()
    rules(here, text)
    done = run(["setpriv", f"--reuid={demo.uid}", "--clear-groups", "sudo", "-n", "true"])
    assert (done.returncode != 0) is asked
    assert bool(here.found("sudo")) is not asked


@pytest.mark.parametrize("option", ["pam_service", "pam_login_service"])
def test_sudo_may_ask_another_stack(here: Planted, option: str) -> None:
    """The findings about the stack "sudo" are then not about the stack that people meet."""
    rules(here, f"Defaults {option}=open")
    (finding,) = here.found("sudo")
    assert (finding.kind, finding.place) == ("not-looked-at", f"{FILE}:2")
    assert "by the name of open" in finding.text
    assert finding.remedy == "ukey pam check open"
    rules(here, "Defaults pam_service=sudo, pam_login_service=sudo-i")
    assert here.found("sudo") == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("Plugin sudoers_policy sudoers.so", True),
        ("# Plugin other other.so", True),
        ("Plugin sudoers_policy /opt/lib/other.so", False),
        ("plugin sudoers_policy sudoers.so sudoers_file=/opt/rules", False),
    ],
)
def test_another_plugin_may_decide(here: Planted, line: str, seen: bool) -> None:
    rules(here, "")
    here.write("/etc/sudo.conf", f"{line}\n")
    assert kinds(here.found("sudo")) == ([] if seen else [("not-looked-at", "/etc/sudo.conf:1")])
