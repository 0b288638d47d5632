# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The examples on the real su, login and sshd with pam_unix, and the glass that can be broken.

The keyservice is scripted; for the break-glass line it is down, with all else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keyservice.contract.names import Code as Said
from keyservice.contract.steps import Prompt, Verdict
from tests.pam.modules import ENTRY
from tests.pam.scripted import SocketService
from tests.pam.stacks import EXAMPLES, auth_lines
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must
from tests.support.stacks import PamCode
from tests.support.terminal import Terminal

PASSWORD, PIN = "a good password", "314159"
ALERT = r"ukey-breakglass: the password alone lets in .*user={} service={} tty={} "
VARIANTS = ("helpful", "uniform")


@pytest.fixture
def rescue(host: Host) -> User:
    """A member of ukey-breakglass, without a ukey."""
    return host.user("rescue", PASSWORD, groups=["ukey-breakglass"])


@pytest.fixture
def clerk(host: Host) -> User:
    return host.user("clerk", PASSWORD)


@pytest.fixture(params=VARIANTS)
def examples(request: pytest.FixtureRequest, host: Host) -> str:
    """Debian's examples are in /etc/pam.d, in each variant in turn, without their delays."""
    for name in ("login", "su", "sshd"):
        text = (EXAMPLES / "debian" / request.param / name).read_text()
        quick = text.replace("pam_unix.so", "pam_unix.so nodelay").replace("=3000000", "=0")
        host.pam.stack(name, quick)
    return str(request.param)


def ukey(code: Said) -> SocketService:
    return SocketService((Prompt("PIN: "), Verdict(code)))


class TestBothFactors:
    """With the service up, success is where both are right, and nowhere else."""

    @pytest.mark.parametrize("program", ["login", "su", "ssh"])
    def test_on_the_real_programs(
        self, host: Host, clerk: User, examples: str, program: str
    ) -> None:
        if program == "ssh":
            host.sshd((EXAMPLES / "sshd_config.d/10-ukey.conf").read_text())
        enter = getattr(host, program)
        both = ["Password:", "PIN:"]
        with ukey(Said.SUCCESS) as service:
            right = enter(clerk, [PASSWORD, PIN])
            assert (right.allowed, right.prompts) == (True, both)
            assert service.seen.answers == [PIN.encode()]
        with ukey(Said.AUTH_ERR):
            refused = enter(clerk, [PASSWORD, PIN])
            assert (refused.allowed, refused.code) == (False, PamCode.AUTH_ERR)
        with ukey(Said.SUCCESS) as service:
            wrong = enter(clerk, ["wrong", PIN])
            assert (wrong.allowed, wrong.code) == (False, PamCode.AUTH_ERR)
            assert wrong.prompts == (both if examples == "uniform" else both[:1])
            assert len(service.seen.begun) == len(wrong.prompts) - 1
        down = enter(clerk, [PASSWORD, PIN])
        code = PamCode.AUTH_ERR if examples == "uniform" else PamCode.AUTHINFO_UNAVAIL
        assert (down.allowed, down.code) == (False, code)


@pytest.mark.parametrize("variant", ["", "nouserok", "uniform"])
def test_real_su_is_refused_by_the_python_module(host: Host, clerk: User, variant: str) -> None:
    host.pam.stack(
        "su", f"auth required pam_python.so {ENTRY} {variant}\n@include common-account\n"
    )
    host.bus()
    with ukey(Said.SUCCESS):
        outcome = host.su(clerk, [PIN])
    assert (outcome.allowed, outcome.code) == (False, PamCode.SERVICE_ERR)
    assert outcome.prompts == []


class TestBreakGlass:
    """Everything is down: no keyservice, no bus."""

    def test_a_member_passes_on_the_console(self, host: Host, rescue: User, examples: str) -> None:
        for enter, service in ((host.login, "login"), (host.su, "su")):
            since = len(host.authlog.lines)
            entered = enter(rescue, [PASSWORD])
            assert (entered.allowed, entered.prompts) == (True, ["Password:"])
            line = host.authlog.wait_for(ALERT.format("rescue", service, "tty1"), since)
            assert (line.facility, line.severity) == (10, "alert")

    def test_not_with_a_wrong_password(self, host: Host, rescue: User, examples: str) -> None:
        for enter in (host.login, host.su):
            assert not enter(rescue, ["wrong"]).allowed
        assert host.authlog.find("ukey-breakglass: ") is None

    def test_nobody_else_passes(self, host: Host, clerk: User, examples: str) -> None:
        for enter in (host.login, host.su):
            assert not enter(clerk, [PASSWORD]).allowed
        assert host.authlog.find("ukey-breakglass: ") is None

    @pytest.mark.parametrize("where", ["pts", "ttyS0 by su", "ssh"])
    def test_nowhere_else(self, host: Host, rescue: User, examples: str, where: str) -> None:
        if where == "ssh":
            host.sshd((EXAMPLES / "sshd_config.d/10-ukey.conf").read_text())
            assert not host.ssh(rescue, [PASSWORD]).allowed
        elif where == "pts":
            for enter in (host.login, host.su):
                assert not enter(rescue, [PASSWORD], terminal=host.terminal()).allowed
        else:
            serial = host.console("ttyS0")
            assert not host.su(rescue, [PASSWORD], terminal=serial).allowed
            assert host.login(rescue, [PASSWORD], terminal=serial).allowed
        host.authlog.wait_for("ukey-breakglass: refused, (not a console|remote): user=rescue")

    def test_not_by_handing_su_a_console(
        self, host: Host, rescue: User, clerk: User, examples: str
    ) -> None:
        """clerk, remote, owns a console too; PAM_TTY is what su has as standard input."""
        console, remote = host.console(), host.terminal()
        shutil.chown(console.path, clerk.uid)
        command = f"su rescue -c id <{console.path}"
        remote.start(["setpriv", f"--reuid={clerk.uid}", "--clear-groups", "sh", "-c", command])
        remote.converse([], over=re.compile("Password: "))
        console.type(f"{PASSWORD}\n")
        host.authlog.wait_for("refused, not the controlling terminal: .* service=su tty=tty1 ")
        remote.converse([])
        assert remote.status

    def test_a_member_with_a_ukey_uses_it_elsewhere(
        self, host: Host, rescue: User, examples: str
    ) -> None:
        with ukey(Said.SUCCESS):
            assert host.su(rescue, [PASSWORD, PIN], terminal=host.terminal()).allowed

    def test_without_a_log_login_alone_passes(
        self, host: Host, rescue: User, examples: str
    ) -> None:
        log = Path("/dev/log")
        away = log.rename("/dev/log.away")
        try:
            assert host.login(rescue, [PASSWORD]).allowed
            assert not host.su(rescue, [PASSWORD]).allowed
        finally:
            away.rename(log)

    def test_without_its_gate_nobody_passes(self, host: Host, rescue: User, examples: str) -> None:
        gate = Path("/usr/libexec/ukey/breakglass")
        away = gate.rename(gate.with_name("away"))
        try:
            for enter in (host.login, host.su):
                assert not enter(rescue, [PASSWORD]).allowed
        finally:
            away.rename(gate)


def gate(terminal: Terminal, **env: str) -> int:
    """The gate's exit status when a program on `terminal` runs it."""
    script = "/usr/libexec/ukey/breakglass; echo status=$?"
    terminal.start(["sh", "-c", script], env={"PAM_TYPE": "auth", "PAM_USER": "x", **env})
    terminal.converse([])
    return int(terminal.screen.partition("status=")[2])


class TestTheGate:
    @pytest.mark.parametrize(
        ("service", "tty", "passes"),
        [
            ("login", "tty1", True),
            ("su", "/dev/tty1", True),
            ("sudo", "/dev/tty63", True),
            ("login", "/dev/console", True),
            ("login", "hvc0", True),
            ("su", "console", False),
            ("su", "hvc0", False),
            ("login", "tty0", False),
            ("login", "tty64", False),
            ("login", "tty1x", False),
            ("login", "tty", False),
        ],
    )
    def test_knows_consoles(self, host: Host, service: str, tty: str, passes: bool) -> None:
        terminal = host.console(tty.removeprefix("/dev/"))
        assert (gate(terminal, PAM_SERVICE=service, PAM_TTY=tty) == 0) == passes

    @pytest.mark.parametrize("tty", ["", "ssh", ":0", "../dev/tty1", "tty1/../tty1", "/dev//tty1"])
    def test_refuses_what_is_none(self, host: Host, tty: str) -> None:
        assert gate(host.console(), PAM_SERVICE="login", PAM_TTY=tty) == 1

    def test_refuses_remote_hosts(self, host: Host) -> None:
        assert gate(host.console(), PAM_SERVICE="login", PAM_TTY="tty1", PAM_RHOST="tty1") == 1

    def test_writes_one_line_whatever_the_names(self, host: Host) -> None:
        gate(host.console(), PAM_SERVICE="login", PAM_TTY="tty1", PAM_USER="a\nb user=root")
        line = host.authlog.wait_for("ukey-breakglass: the password alone")
        assert "user=a?b?user?root service=login" in line.text


# -- the other files


@pytest.mark.parametrize("variant", VARIANTS)
def test_faillock_counts_and_spares_the_break_glass_account(
    host: Host, clerk: User, rescue: User, variant: str
) -> None:
    """The real pam_faillock and pam_unix, in the stack for RHEL and kin without SSSD."""
    text = (EXAMPLES / "redhat" / variant / "local-faillock/system-auth").read_text()
    quick = text.replace("pam_unix.so", "pam_unix.so nodelay").replace("=2000000", "=0")
    auth = "".join(map(str, auth_lines(quick)))
    host.pam.stack(
        "ukey-faillock",
        auth.replace(" admin_group", f" dir={host.folder} deny=3 nodelay admin_group"),
    )

    def enters(user: User, *answers: str) -> bool:
        return host.pam.converse("ukey-faillock", user.name, answers, tty="pts/0").code == 0

    with ukey(Said.SUCCESS):
        assert enters(clerk, PASSWORD, PIN)
        assert not enters(clerk, "wrong", PIN)
        assert not enters(clerk, "wrong", PIN)
        assert enters(clerk, PASSWORD, PIN)  # forgets both
        for _ in range(3):
            assert not enters(clerk, "wrong", PIN)
            assert not enters(rescue, "wrong", PIN)
        assert not enters(clerk, PASSWORD, PIN)
        assert enters(rescue, PASSWORD, PIN)


def test_debians_profile_is_off_until_it_is_asked_for(pam_d: Path, host: Host, clerk: User) -> None:
    must(["pam-auth-update", "--package"])
    assert "ukey" not in (pam_d / "common-auth").read_text()
    must(["pam-auth-update", "--package", "--enable", "ukey"])
    lines = auth_lines((pam_d / "common-auth").read_text())
    assert [line.role for line in lines][:3] == ["unix", "deny", "permit"]
    assert [line.role for line in lines][-4:] == ["member", "gate", "ukey", "permit"]
    with ukey(Said.SUCCESS):
        assert host.su(clerk, [PASSWORD, PIN]).allowed
    with ukey(Said.IGNORE):  # not enrolled yet
        assert host.su(clerk, [PASSWORD, PIN]).allowed
    with ukey(Said.AUTH_ERR):
        assert not host.su(clerk, [PASSWORD, PIN]).allowed
    assert not host.su(clerk, [PASSWORD, PIN]).allowed


def test_sshd_takes_the_drop_in(tmp_path: Path) -> None:
    drop_in = EXAMPLES / "sshd_config.d/10-ukey.conf"
    key = tmp_path / "key"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    config = tmp_path / "sshd_config"
    config.write_text(f"Include {drop_in}\nHostKey {key}\nPasswordAuthentication yes\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    said = subprocess.run(
        ["/usr/sbin/sshd", "-T", "-f", config], capture_output=True, text=True, timeout=20
    )
    assert said.returncode == 0, said.stderr
    settings = set(said.stdout.splitlines())
    assert {
        "authenticationmethods keyboard-interactive:pam",
        "passwordauthentication no",
        "kbdinteractiveauthentication yes",
        "usepam yes",
    } <= settings
