# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The examples on the real su, login and sshd with pam_unix, and the glass that can be broken.

The keyservice is scripted; for the break-glass line it is down, like everything else.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from keyservice import glass_console
from keyservice.contract.names import Code as Said
from keyservice.contract.pam import PamCode
from keyservice.contract.steps import Prompt, Verdict
from tests.pam.conftest import GLASS_PASSWORD as PASSWORD
from tests.pam.conftest import put
from tests.pam.modules import ENTRY
from tests.pam.scripted import SocketService
from tests.pam.stacks import EXAMPLES, auth_lines
from tests.support.consoles import kernel_has
from tests.support.enrolled import UKEY_HERE
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must
from tests.support.terminal import Terminal

PIN = "314159"
ALERT = r"ukey-breakglass: the password alone lets in .*user={} service={} tty={} "
VARIANTS = ("helpful", "uniform")
#: Of ARM, Xen, and s390.
SERIAL = ("ttyAMA0", "ttyS0", "hvc0", "xvc0", "ttysclp0", "sclp_line0", "3270/tty1")


@pytest.fixture(params=VARIANTS)
def examples(request: pytest.FixtureRequest, host: Host) -> str:
    """Debian's examples are in /etc/pam.d, in each variant in turn, without their delays."""
    put(host, request.param)
    return str(request.param)


def ukey(code: Said) -> SocketService:
    return SocketService((Prompt("PIN: "), Verdict(code)))


class TestBothFactors:
    """With the service up, a login succeeds only if both are right."""

    @pytest.mark.parametrize("program", ["login", "su", "ssh"])
    def test_on_the_real_programs(
        self, host: Host, clerk: User, examples: str, program: str
    ) -> None:
        if program == "ssh":
            host.sshd(UKEY_HERE + (EXAMPLES / "sshd_config.d/10-ukey.conf").read_text())
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
        assert host.authlog.find("ukey-breakglass: the password alone") is None
        if examples == "uniform":
            for service in ("login", "su"):
                refused = f"refused, the password was wrong: user=rescue service={service} "
                host.authlog.wait_for(refused)
        else:
            assert host.authlog.find("ukey-breakglass: ") is None

    def test_nobody_else_passes(self, host: Host, clerk: User, examples: str) -> None:
        for enter in (host.login, host.su):
            assert not enter(clerk, [PASSWORD]).allowed
        assert host.authlog.find("ukey-breakglass: ") is None

    @pytest.mark.parametrize("where", ["pts", "ttyS0 by su", "ssh"])
    def test_nowhere_else(self, host: Host, rescue: User, examples: str, where: str) -> None:
        if where == "ssh":
            host.sshd(UKEY_HERE + (EXAMPLES / "sshd_config.d/10-ukey.conf").read_text())
            assert not host.ssh(rescue, [PASSWORD]).allowed
        elif where == "pts":
            for enter in (host.login, host.su):
                assert not enter(rescue, [PASSWORD], terminal=host.terminal()).allowed
        else:
            serial = host.console("ttyS0")
            assert not host.su(rescue, [PASSWORD], terminal=serial).allowed
            assert host.login(rescue, [PASSWORD], terminal=serial).allowed
            arm = host.console("ttyAMA0")
            assert not host.login(rescue, [PASSWORD], terminal=arm).allowed
            with kernel_has("ttyAMA0"):
                assert host.login(rescue, [PASSWORD], terminal=arm).allowed
                assert not host.su(rescue, [PASSWORD], terminal=arm).allowed
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


def gate(terminal: Terminal, around: str = "{}", **env: str) -> int:
    """The gate's exit status when a program on `terminal` runs it; `around`: the sh command around
    it."""
    script = around.format("/usr/libexec/ukey/breakglass; echo status=$? >/dev/tty")
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
            ("login", "/dev/ttyS0", True),
            ("login", "ttyAMA0", False),
            ("su", "ttyS0", False),
            ("sudo", "ttyS0", False),
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

    def test_knows_the_kernels_consoles_too(self, host: Host) -> None:
        for tty in SERIAL:
            with kernel_has("tty0", tty):
                assert glass_console.main([tty]) == glass_console.YES, tty
        terminal = host.console(tty)
        with kernel_has("tty0", tty):
            assert gate(terminal, PAM_SERVICE="login", PAM_TTY=tty) == 0
            assert gate(terminal, PAM_SERVICE="login", PAM_TTY=f"/dev/{tty}") == 0
            assert gate(terminal, PAM_SERVICE="login", PAM_TTY="console") == 0
            assert gate(terminal, PAM_SERVICE="su", PAM_TTY=tty) == 1
            assert gate(host.console(), PAM_SERVICE="login", PAM_TTY=tty) == 1  # not at it
            host.authlog.wait_for("refused, not the controlling terminal: .* tty=3270/tty1 ")

    def test_knows_those_that_are_configured(self, host: Host) -> None:
        host.configure('surprise = 1\n[locality]\nttys = ["/dev/ttyAMA*"]\n')
        for tty, status in (("ttyAMA0", 0), ("ttyS0", 1), ("tty1", 0)):
            assert gate(host.console(tty), PAM_SERVICE="login", PAM_TTY=tty) == status
        host.authlog.wait_for("refused, not a console: .* tty=ttyS0 ")

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ("[breakglass]\nserial = false\n", "kept out of serial consoles"),
            ('[breakglass]\nserial = "false"\n', "keyservice.toml cannot be read"),
            ("[breakglass\n", "keyservice.toml cannot be read"),
        ],
    )
    def test_opens_at_the_screen_alone_where_that_is_said_or_not_known(
        self, host: Host, config: str, why: str
    ) -> None:
        host.configure(config)
        for tty in ("ttyS0", "console"):
            assert gate(host.console(tty), PAM_SERVICE="login", PAM_TTY=tty) == 1
            host.authlog.wait_for(f"refused, {why}: .* tty={tty} ")
        for service in ("login", "su"):
            assert gate(host.console(), PAM_SERVICE=service, PAM_TTY="tty1") == 0

    def test_a_configuration_that_others_may_write_opens_nothing(self, host: Host) -> None:
        host.configure("").chmod(0o666)
        assert gate(host.console("ttyS0"), PAM_SERVICE="login", PAM_TTY="ttyS0") == 1
        host.authlog.wait_for("refused, keyservice.toml cannot be read")

    @pytest.mark.parametrize(
        "tty", ["", "ssh", ":0", "../dev/tty1", "tty1/../tty1", "/dev//tty1", "--help"]
    )
    def test_refuses_what_is_none(self, host: Host, tty: str) -> None:
        assert gate(host.console(), PAM_SERVICE="login", PAM_TTY=tty) == 1

    def test_never_opens_where_its_output_goes_into_a_pipe(self, host: Host) -> None:
        """It runs like this after a wrong password."""
        for service in ("login", "su"):
            terminal = host.console()
            assert gate(terminal, "({}) | cat", PAM_SERVICE=service, PAM_TTY="tty1") == 1
        host.authlog.wait_for("refused, the password was wrong: .* service=su ")
        assert host.authlog.find("the password alone") is None

    def test_prints_nothing_whatever_goes_wrong(self, host: Host) -> None:
        """After a wrong password the person would read it."""
        host.configure("[breakglass\n")
        terminal = host.console("ttyS0")
        assert gate(terminal, "({}) 2>&1 | cat", PAM_SERVICE="login", PAM_TTY="ttyS0") == 1
        assert terminal.screen.strip() == "status=1"

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
    made = (pam_d / "common-auth").read_text()
    (pam_d / "common-auth").write_text(made.replace("pam_unix.so", "pam_unix.so nodelay"))
    lines = auth_lines(made)
    assert [line.role for line in lines][:3] == ["unix", "deny", "permit"]
    assert [line.role for line in lines][-4:] == ["member", "gate", "ukey", "permit"]
    with ukey(Said.SUCCESS):
        assert host.su(clerk, [PASSWORD, PIN]).allowed
    with ukey(Said.IGNORE):  # not enrolled yet
        assert host.su(clerk, [PASSWORD, PIN]).allowed
    with ukey(Said.AUTH_ERR):
        assert not host.su(clerk, [PASSWORD, PIN]).allowed
    assert not host.su(clerk, [PASSWORD, PIN]).allowed
