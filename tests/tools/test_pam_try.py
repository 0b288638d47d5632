# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam try`` with the real stacks, keyservice, pcscd and ukeys: the verdict is that of the
login. python-pam, which shares no code with it, has the same."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import CHECKOUT
from tests.support.enrolled import CONFIG, EXAMPLES, Enrolled
from tests.support.process import run
from tests.support.shared_host import Shared
from tests.support.stacks import without_pauses
from tests.support.terminal import Terminal
from tests.tools.running import COMMANDS

SECOND = CHECKOUT / "tests" / "support" / "second_client.py"
REFUSED = 14
#: In place of login's on the shared host, too.
STACK = without_pauses((EXAMPLES / "debian/helpful/login").read_text())


@dataclass(frozen=True)
class Tried:
    """The result of a try on a terminal."""

    status: int | None
    prompts: list[str]
    screen: str


def try_login(
    terminal: Terminal, answers: list[str], *arguments: str, env: dict[str, str] | None = None
) -> Tried:
    terminal.start([COMMANDS["ukey"], "pam", "try", *arguments], env=env)
    prompts = terminal.converse(answers, seconds=30)
    return Tried(terminal.status, prompts, terminal.screen)


def on_pipes(
    answers: list[str], *arguments: str, seconds: float = 60
) -> tuple[int, dict[str, Any]]:
    """The exit status, and the JSON that was all of the standard output."""
    done = run(
        [COMMANDS["ukey"], "pam", "try", "--json", *arguments],
        input="".join(f"{answer}\n" for answer in answers),
        seconds=60,
    )
    (line,) = done.stdout.splitlines()
    return done.returncode, json.loads(line)


def by_python_pam(service: str, user: str, answers: list[str]) -> str:
    """The name of python-pam's code. It sets no terminal where standard input is none."""
    done = run(
        [sys.executable, str(SECOND), service, user],
        input="".join(f"{answer}\n" for answer in answers),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "LANG": "C.UTF-8"},
        seconds=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- every verdict


def nothing(enrolled: Enrolled) -> None: ...


def unbind(enrolled: Enrolled) -> None:
    done = run([COMMANDS["rmpubkey"], enrolled.user.name], input=f"{enrolled.pin}\n")
    assert done.returncode == 0, done.stderr


def bind(enrolled: Enrolled) -> None:
    enrolled.host.bind(enrolled.user, enrolled.ukey)


def remove(enrolled: Enrolled) -> None:
    enrolled.ukey.remove()


def insert(enrolled: Enrolled) -> None:
    enrolled.ukey.put_in()


def expire(enrolled: Enrolled) -> None:
    assert run(["chage", "--expiredate", "2001-01-01", enrolled.user.name]).returncode == 0


def unexpire(enrolled: Enrolled) -> None:
    assert run(["chage", "--expiredate", "-1", enrolled.user.name]).returncode == 0


def age_password(enrolled: Enrolled) -> None:
    assert run(["chage", "--lastday", "0", enrolled.user.name]).returncode == 0


def renew_password(enrolled: Enrolled) -> None:
    assert run(["chage", "--lastday", "-1", enrolled.user.name]).returncode == 0


def take_module_away(enrolled: Enrolled) -> None:
    enrolled.host.pam.stack("login", STACK.replace("pam_ukey.so", "pam_not_there.so"))


def put_module_back(enrolled: Enrolled) -> None:
    enrolled.host.pam.stack("login", STACK)


def lock(enrolled: Enrolled) -> None:
    enrolled.ukey.set_tries(0)


def stop_pcscd(enrolled: Enrolled) -> None:
    enrolled.pcscd.stop()


def stop_keyservice(enrolled: Enrolled) -> None:
    enrolled.keyservice.stop()


@dataclass(frozen=True)
class Case:
    code: str
    step: str = "authenticate"
    spoil: Callable[[Enrolled], object] = nothing
    mend: Callable[[Enrolled], object] = nothing
    password: str | None = None  #: in place of the right one
    pin: str | None = None
    prompts: int = 2


#: In this order on one host: two wrong PINs, then a right one; faults that cannot be undone come
#: last.
CASES = {
    "wrong PIN": Case("AUTH_ERR", pin="000000"),
    "right": Case("SUCCESS", "setcred"),
    "wrong password": Case("AUTH_ERR", password="wrong", prompts=1),
    "empty PIN": Case("CONV_ERR", pin=""),
    "account expired": Case("AUTH_ERR", "acct_mgmt", expire, unexpire),
    "password expired": Case("NEW_AUTHTOK_REQD", "acct_mgmt", age_password, renew_password),
    "module missing": Case(
        "MODULE_UNKNOWN", spoil=take_module_away, mend=put_module_back, prompts=1
    ),
    "no ukey": Case("AUTHINFO_UNAVAIL", spoil=remove, mend=insert, prompts=1),
    "not enrolled": Case("USER_UNKNOWN", spoil=unbind, mend=bind, prompts=1),
    "locked PIN": Case("MAXTRIES", spoil=lock, prompts=1),
    "pcscd down": Case("AUTHINFO_UNAVAIL", spoil=stop_pcscd, prompts=1),
    "keyservice down": Case("AUTHINFO_UNAVAIL", spoil=stop_keyservice, prompts=1),
}
#: Both clients run without a terminal, which is remote where no host is named: allowed here.
ANYWHERE = CONFIG + "".join(
    f"[services.{service}]\nfactors_from_afar = ['ukey']\n" for service in ("login", "pythonic")
)


@pytest.fixture
def anywhere(shared: Shared) -> Iterator[Enrolled]:
    with shared.test(ANYWHERE) as made:
        yield made


def test_both_clients_have_the_verdict_of_the_login(anywhere: Enrolled) -> None:
    enrolled = anywhere
    enrolled.host.keep()
    password, pin = enrolled.right
    for name, case in CASES.items():
        case.spoil(enrolled)
        answers = [case.password or password, pin if case.pin is None else case.pin]
        status, told = on_pipes(answers, enrolled.user.name, "--service", "login")
        assert (told["code"], told["step"]) == (case.code, case.step), (name, told)
        assert status == (0 if case.code == "SUCCESS" else REFUSED), name
        assert told["ok"] is (status == 0)
        assert told["prompts"] == case.prompts, name
        assert [row["step"] for row in told["steps"]][-1] == case.step
        assert told["ukey"] is (name != "module missing")
        assert told["stack"] == "/etc/pam.d/login"
        assert by_python_pam("login", enrolled.user.name, answers) == case.code, name
        case.mend(enrolled)


def test_both_clients_are_refused_alike_from_afar(enrolled: Enrolled) -> None:
    """Without a terminal nothing says that it is local."""
    enrolled.host.pam.stack("afar", STACK)
    status, told = on_pipes(enrolled.right, enrolled.user.name, "--service", "afar")
    assert (status, told["code"], told["prompts"]) == (REFUSED, "PERM_DENIED", 1)
    assert by_python_pam("afar", enrolled.user.name, enrolled.right) == "PERM_DENIED"


# -- what it is told of where it is


def test_a_console_is_local_and_a_host_is_remote(enrolled: Enrolled) -> None:
    """login is not allowed from afar."""
    host = enrolled.host
    console, window = host.console(), host.terminal()
    login = (enrolled.user.name, "--service", "login")

    tried = try_login(console, enrolled.right, *login)
    assert tried.status == 0, tried.screen
    assert tried.prompts == ["Password:", f"PIN of ukey {enrolled.ukey.serial}:"]
    assert "demo gets in by login" in tried.screen
    assert try_login(window, enrolled.right, *login, "--tty", "/dev/tty1").status == 0
    afar, pty = "comes from another machine: a remote host was named.", "and a pseudo-terminal"
    for terminal, more, told in ((window, [], pty), (console, ["--rhost", "192.0.2.7"], afar)):
        tried = try_login(terminal, enrolled.right, *login, *more)
        assert tried.status == REFUSED
        assert tried.prompts == ["Password:"]
        assert told in tried.screen
        assert "PERM_DENIED by pam_authenticate" in tried.screen


def test_sshd_is_remote_unless_allowed_as_it_is_when_it_runs(enrolled: Enrolled) -> None:
    host = enrolled.host
    enrolled.serve(CONFIG.replace('factors_from_afar = ["ukey"]', "factors_from_afar = []"))
    user, console = enrolled.user.name, host.console()
    tried = try_login(console, enrolled.right, user, "--service", "sshd")
    assert (tried.status, "PERM_DENIED" in tried.screen) == (REFUSED, True)
    host.authlog.wait_for("service=sshd .*tty=ssh rhost=127.0.0.1 local=no")
    enrolled.sshd()
    assert not host.ssh(enrolled.user, enrolled.right).allowed

    enrolled.serve(CONFIG)
    tried = try_login(console, enrolled.right, user, "--service", "sshd", "--rhost", "192.0.2.7")
    assert tried.status == 0, tried.screen
    host.authlog.wait_for("service=sshd .*rhost=192.0.2.7 .*verdict=SUCCESS")
    assert host.ssh(enrolled.user, enrolled.right).allowed


def test_su_asks_root_nothing_and_others_everything(enrolled: Enrolled) -> None:
    host, console = enrolled.host, enrolled.host.console()
    su = (enrolled.user.name, "--service", "su")
    tried = try_login(console, [], *su)
    assert (tried.status, tried.prompts) == (0, [])
    assert "Nobody was asked for anything" in tried.screen

    bob = host.user("bob")
    tried = try_login(console, enrolled.right, *su, "--ruser", "bob")
    assert (tried.status, len(tried.prompts)) == (0, 2), tried.screen
    host.authlog.wait_for(f"service=su caller=0 ruid={bob.uid} .*tty=tty1 .*verdict=SUCCESS")
    # a terminal that is not its own proves nothing, as in su
    window = host.terminal()
    tried = try_login(window, enrolled.right, *su, "--ruser", "bob", "--tty", "tty1")
    assert (tried.status, "PERM_DENIED" in tried.screen) == (REFUSED, True)


# -- modules of every kind

PYTHON_STACK = """
auth requisite pam_unix.so nodelay
auth [success=ok default=die] pam_python.so /usr/lib/ukey/pam_ukey/pam_python_entry.py
account required pam_permit.so
"""


@pytest.mark.parametrize(("pin", "code"), [(None, "SUCCESS"), ("000000", "AUTH_ERR")])
def test_the_pam_python_module_can_be_tried(anywhere: Enrolled, pin: str | None, code: str) -> None:
    """It is an interpreter in a process that is one."""
    enrolled = anywhere
    enrolled.bus()
    enrolled.host.pam.stack("pythonic", PYTHON_STACK)
    answers = [enrolled.user.password, pin or enrolled.pin]
    _status, told = on_pipes(answers, "demo", "--service", "pythonic")
    assert (told["code"], told["ukey"], told["prompts"]) == (code, True, 2)


TALKATIVE = """
def pam_sm_authenticate(pamh, flags, argv):
    style = {"?": pamh.PAM_PROMPT_ECHO_ON, "*": pamh.PAM_PROMPT_ECHO_OFF, "!": pamh.PAM_ERROR_MSG,
             ".": pamh.PAM_TEXT_INFO, "-": pamh.PAM_RADIO_TYPE}
    messages = [pamh.Message(style[word[0]], word[1:]) for word in argv[1:]]
    answers = [answer.resp for answer in pamh.conversation(messages)]
    return pamh.PAM_SUCCESS if answers == [None, "red", None, "sec ret"] else pamh.PAM_AUTH_ERR

def pam_sm_setcred(pamh, flags, argv):
    return pamh.PAM_SUCCESS
"""


def test_one_conversation_may_have_several_messages(enrolled: Enrolled) -> None:
    host = enrolled.host
    script = host.folder / "talkative.py"
    script.write_text(TALKATIVE)
    line = f"auth required pam_python.so {script} .Hello ?Colour: !Careful *Word:"
    host.pam.stack("talks", f"{line}\naccount required pam_permit.so")
    talks = [COMMANDS["ukey"], "pam", "try", "demo", "--service", "talks"]
    done = run(talks, input="red\nsec ret\n")
    assert done.returncode == 0, done.stderr
    order = [done.stderr.index(word) for word in ("Hello", "Colour:", "Careful", "Word:")]
    assert order == sorted(order)
    assert "sec ret" not in done.stderr
    status, told = on_pipes(["red", "wrong"], "demo", "--service", "talks")
    assert (status, told["code"], told["prompts"]) == (REFUSED, "AUTH_ERR", 2)
    # A style that no terminal has.
    host.pam.stack("talks", line.replace("!Careful", "-Choose"))
    status, told = on_pipes(["red", "sec ret"], "demo", "--service", "talks")
    assert (status, told["prompts"]) == (REFUSED, 1)


# -- what it says before anything is asked, and afterwards


def test_it_says_what_it_costs_and_where_to_read_why(anywhere: Enrolled) -> None:
    enrolled, host = anywhere, anywhere.host
    done = run(
        [COMMANDS["ukey"], "pam", "try", "demo", "--service", "login"],
        input=f"{enrolled.user.password}\n000000\n",
    )
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.index("A real try") < done.stderr.index("Password:")
    assert "AUTH_ERR by pam_authenticate. A factor is wrong" in done.stderr
    command = re.search(r"grep (-e .*) /var/log/auth.log", done.stderr)
    assert command is not None
    host.authlog.wait_for("verdict=AUTH_ERR")
    found = run(["sh", "-c", f"grep {command[1]}"], input=host.authlog.text).stdout
    assert "keyservice" in found
    assert "The PIN is wrong" in found
    assert enrolled.ukey.tries_left() == 9


def test_a_stack_without_a_ukey_and_a_service_without_a_file_are_told(enrolled: Enrolled) -> None:
    host = enrolled.host
    console = host.console()
    host.pam.stack("plain", "auth required pam_unix.so nodelay\naccount required pam_permit.so")
    tried = try_login(console, ["correct horse"], "demo", "--service", "plain")
    assert tried.status == 0
    assert "names pam_ukey" in tried.screen.split("Password")[0]
    assert "And nobody was asked for a ukey." in tried.screen

    host.pam.stack("other", "auth required pam_deny.so")
    tried = try_login(console, [], "demo", "--service", "no-such")
    assert tried.status == REFUSED
    assert "There is no file /etc/pam.d/no-such: libpam takes 'other'" in tried.screen
    _status, told = on_pipes([], "demo", "--service", "No-Such")
    assert (told["service"], told["stack"], told["ukey"]) == ("no-such", "/etc/pam.d/other", False)


def test_no_session_is_opened_and_no_credential_stays(enrolled: Enrolled) -> None:
    host = enrolled.host
    trace = host.folder / "trace"
    script = host.folder / "note"
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE $PAM_TTY $PAM_RHOST $PAM_RUSER" >>{trace}\n')
    script.chmod(0o755)
    line = f"required pam_exec.so seteuid {script}"
    kinds = ("auth", "account", "session")
    lines = [f"{kind} {line}" for kind in kinds]
    host.pam.stack("noted", "\n".join([*lines, "auth required pam_permit.so"]))
    options = ["--tty", "tty9", "--rhost", "192.0.2.7", "--ruser", "demo"]
    status, _told = on_pipes([], "demo", "--service", "noted", *options)
    assert status == 0
    types = [row.split()[0] for row in trace.read_text().splitlines()]
    assert types == ["auth", "account"]  # pam_exec does nothing for credentials
    assert trace.read_text().startswith("auth tty9 192.0.2.7 demo\n")


@pytest.mark.parametrize("script", ["/opt/pam_ukey.py", "/opt/pam_ukey/pam_python_entry.py"])
def test_nobody_elses_module_is_taken_for_ours(enrolled: Enrolled, script: str) -> None:
    stack = f"auth [default=ignore] pam_python.so {script}\nauth required pam_permit.so\n"
    enrolled.host.pam.stack("tried", stack)
    _status, found = on_pipes([], "root", "--service", "tried")
    assert found["ukey"] is False
