# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tests' own ground: real programs say yes and no as they should; nothing is left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.support.daemons import BUS_SOCKET, PCSCD_SOCKET, answers
from tests.support.host import Host
from tests.support.machine import differences, sockets, tree
from tests.support.programs import Outcome
from tests.support.stacks import PAM_D, without_pauses

pytestmark = pytest.mark.slow

PASSWORD = "correct horse"
FOLDERS = ("/etc", "/home", "/var", "/usr/lib/ukey")
#: The machine's own, which all sandboxes share: their roots, file by file.
ROOTS = "/var/cache/ukey-sandbox"
#: The records of who logged in when, and an empty lock of useradd's.
LOGS = ("/var/log/", "/etc/.pwd.lock")


def enter(host: Host, way: str, answers: list[str]) -> Outcome:
    """By Debian's own stacks, which here tell a failure at once."""
    host.pause_after_failures(0)
    for stack in ("common-auth", "login"):
        host.pam.stack(stack, without_pauses((PAM_D / stack).read_text()))
    user = host.user("demo", PASSWORD)
    match way:
        case "su":
            return host.su(user, answers)
        case "login":
            return host.login(user, answers)
        case _:
            host.sshd()
            return host.ssh(user, answers, far=way == "far")


@pytest.mark.parametrize("way", ["su", "login", "ssh", "far"])
def test_the_right_password_lets_in(host: Host, way: str) -> None:
    outcome = enter(host, way, [PASSWORD])
    assert (outcome.allowed, outcome.code) == (True, PamCode.SUCCESS), outcome.screen
    assert outcome.prompts == ["Password:"]


@pytest.mark.parametrize("answers", [["wrong"], [""], []], ids=["wrong", "empty", "end of input"])
def test_anything_else_does_not(host: Host, answers: list[str]) -> None:
    """Side by side: each of the programs waits after a failure."""
    user = host.user("demo", PASSWORD)
    host.sshd()
    consoles = [host.console(name) for name in ("tty1", "tty2")]
    with ThreadPoolExecutor() as ways:
        tried = {
            "su": ways.submit(host.su, user, answers, terminal=consoles[0]),
            "login": ways.submit(host.login, user, answers, terminal=consoles[1]),
            "ssh": ways.submit(host.ssh, user, answers),
        }
    outcomes = {way: outcome.result() for way, outcome in tried.items()}
    assert {way: (each.allowed, each.code) for way, each in outcomes.items()} == dict.fromkeys(
        tried, (False, PamCode.AUTH_ERR)
    ), [each.screen for each in outcomes.values()]


def test_a_console_is_known_by_its_name(host: Host) -> None:
    host.login(host.user("demo", PASSWORD), [PASSWORD], terminal=host.console("tty3"))
    host.su(host.user("other", PASSWORD), [PASSWORD], terminal=host.terminal())
    host.authlog.wait_for(r"login\[\d+\]: .*session opened for user demo")
    host.authlog.wait_for(r"su\[\d+\]: \(to other\) nobody on pts/")


def test_a_person_from_afar_is_seen_to_be(host: Host) -> None:
    enter(host, "far", [PASSWORD])
    host.authlog.wait_for(r"Accepted keyboard-interactive/pam for demo from 10\.99\.0\.2")


def test_libpam_reports_codes_prompts_and_messages(host: Host) -> None:
    user = host.user("demo", PASSWORD)
    host.pam.stack("test", "auth required pam_unix.so\nauth optional pam_echo.so hello\n")
    answered = host.pam.converse("test", user.name, [PASSWORD], steps=["authenticate", "setcred"])
    assert answered.codes == (PamCode.SUCCESS, PamCode.SUCCESS)
    assert answered.said == (("secret", "Password: "), ("info", "hello"))
    assert host.pam.converse("test", user.name, [None]).code == PamCode.AUTHTOK_ERR
    host.pam.stack("test", "auth required pam_no_such.so\n")
    assert host.pam.converse("test", user.name).code == PamCode.MODULE_UNKNOWN


def test_ukeys_come_and_go_in_four_places(host: Host) -> None:
    host.pcscd(slots=4)
    ukeys = [host.softkey(f"ukey{slot}", slot) for slot in range(4)]
    assert len({ukey.serial for ukey in ukeys}) == 4
    for ukey in ukeys:
        ukey.remove()
        assert not ukey.control.status()["inserted"]
        ukey.insert()
        assert ukey.control.status()["seen"]


def test_nothing_is_left_for_the_next_test() -> None:
    files, listening = tree(*FOLDERS, leave_out=[ROOTS]), sockets()
    for _ in range(2):
        with Host() as host:
            host.pcscd(), host.bus(), host.softkey(), host.far()
            host.configure("# changed")
            host.pam.stack("su", "auth required pam_unix.so\naccount required pam_permit.so")
            console, folder = host.console(), host.folder
            outcome = enter(host, "ssh", [PASSWORD])
            assert outcome.allowed
            assert answers(PCSCD_SOCKET)
        for left in (folder, console.path, Path("/dev/log"), Path("/sys/class/net/near")):
            assert not left.exists()
        assert not answers(BUS_SOCKET)
        assert sockets() == listening
    changed = differences(files, tree(*FOLDERS, leave_out=[ROOTS]))
    assert [path for path in changed if not path.startswith(LOGS)] == []
