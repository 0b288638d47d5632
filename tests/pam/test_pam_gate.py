# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Break-glass by su: where its caller is logged in, and what they do to the gate's programs."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pam.conftest import GLASS_PASSWORD as PASSWORD
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must

ALERT = r"ukey-breakglass: the password alone lets in .*user=rescue service={} tty=tty1 "
GATE = Path("/usr/libexec/ukey/breakglass")
#: Without these it lets nobody in by su.
NEEDED = {"logger", "stat", "timeout"}


@pytest.fixture
def logind() -> Iterator[Path]:
    """The files that logind writes below /run/systemd; nobody else does so in a sandbox."""
    runtime = Path("/run/systemd")
    for name in ("seats", "sessions"):
        (runtime / name).mkdir(parents=True)
    (runtime / "seats/seat0").write_text("IS_SEAT0=1\nSESSIONS=ukeytest1\n")
    yield runtime
    for name in ("seats", "sessions"):
        shutil.rmtree(runtime / name)


def seated(logind: Path, user: User, *changed: str) -> None:
    """Have `user` logged in at tty1, by what logind writes; `changed`: other facts, NAME=FACT."""
    facts = {"UID": f"{user.uid}", "REMOTE": "0", "VTNR": "1", "TTY": "tty1", "STATE": "online"}
    facts |= {"CLASS": "user"} | dict(each.split("=", 1) for each in changed)
    lines = "".join(f"{name}={fact}\n" for name, fact in facts.items())
    (logind / "sessions/ukeytest1").write_text(lines)


@contextmanager
def failing(name: str) -> Iterator[None]:
    """Make this program of /usr/bin behave as without memory, or without a free process."""
    path = Path("/usr/bin", name)
    must(["mount", "--bind", "/bin/false", path])
    try:
        yield
    finally:
        must(["umount", path])


def test_not_at_a_console_that_was_kept(
    host: Host, rescue: User, clerk: User, logind: Path, helpful: None
) -> None:
    """clerk had it as controlling terminal while logged in there."""

    def let_in(*changed: str) -> bool:
        seated(logind, clerk, *changed)
        return host.su(rescue, [PASSWORD], by=clerk.uid).allowed

    assert let_in()
    assert host.login(rescue, [PASSWORD]).allowed
    for changed in ("STATE=closing", "VTNR=2", "UID=0", "CLASS=background"):
        assert not let_in(changed), changed
    for changed in ("REMOTE=1", "REMOTE_HOST=localhost", "TTY=pts/3", "TTY=", "TTY=tty2"):
        assert not let_in(changed), changed
    assert not let_in("REMOTE=1", "DISPLAY=:0\nREMOTE=0")  # by the person who controls the session
    host.authlog.wait_for("refused, not logged in there any more: .* service=su tty=tty1 ")
    seat = logind / "seats/seat0"
    seat.write_text('IS_SEAT0=1\nSESSIONS="ukeytest2"\n')
    assert not let_in()  # it is not one of the seat's
    seat.unlink()
    assert host.su(rescue, [PASSWORD], by=clerk.uid).allowed


@pytest.mark.parametrize(("tty", "passes"), [("ttyS0", False), ("tty1", True)])
def test_login_that_a_person_ran_is_no_getty_s(
    host: Host, clerk: User, logind: Path, tty: str, passes: bool
) -> None:
    """Some hosts have a login that is setuid."""
    setuid = f"""
import os, subprocess
os.setresuid({clerk.uid}, 0, 0)
gate = subprocess.run(["{GATE}"], preexec_fn=lambda: os.setresuid(0, 0, 0))
print(f"status={{gate.returncode}}")
"""
    env = {"PAM_TYPE": "auth", "PAM_USER": "rescue", "PAM_SERVICE": "login", "PAM_TTY": tty}
    terminal = host.console(tty)

    def status() -> str:
        terminal.start([sys.executable, "-c", setuid], env=env)
        terminal.converse([])
        return terminal.screen.partition("status=")[2].strip()

    seated(logind, clerk)
    assert (status() == "0") is passes
    seated(logind, clerk, "STATE=closing")
    assert status() == "1"


def test_what_cannot_be_run_is_no_answer(
    host: Host, rescue: User, clerk: User, logind: Path, helpful: None
) -> None:
    """The caller's limits reach the gate's programs: of memory, and of processes."""
    code = "".join(line for line in GATE.read_text().splitlines(True) if line[0] != "#")
    programs = {each for each in re.findall(r"\b[a-z]+\b", code) if Path("/usr/bin", each).exists()}
    assert programs > NEEDED
    for changed in (["REMOTE_HOST=localhost"], ["REMOTE=1", "DISPLAY=:0\nREMOTE=0"]):
        seated(logind, clerk, *changed)
        for name in programs:
            with failing(name):
                assert not host.su(rescue, [PASSWORD], by=clerk.uid).allowed, name
    seated(logind, clerk)
    for name in programs:
        since = len(host.authlog.lines)
        with failing(name):
            assert host.su(rescue, [PASSWORD], by=clerk.uid).allowed != (name in NEEDED), name
        if name not in NEEDED:
            host.authlog.wait_for(ALERT.format("su"), since)


def test_an_alert_is_in_the_kernels_log_too_but_for_login(
    host: Host, rescue: User, helpful: None
) -> None:
    """Earlier lines by su's caller may keep a line of su's out of the journal."""
    kernels, device = host.terminal(), Path("/dev/kmsg")
    device.symlink_to(kernels.path)
    try:
        for enter, service in ((host.login, "login"), (host.su, "su")):
            since = len(host.authlog.lines)
            assert enter(rescue, [PASSWORD]).allowed
            host.authlog.wait_for(ALERT.format(service), since)
        kernels.wait_question(20, over=re.compile("<81>" + ALERT.format("su")))
    finally:
        device.unlink()
    assert "service=login" not in kernels.screen
