# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Local or remote, by rule; and what libsystemd says, by its real library and real files."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access import sdlogin
from keyservice.access.conversation import Caller, Request
from keyservice.access.locality import Logind, judge
from keyservice.access.sdlogin import LoginSession
from keyservice.access.settings import Rules
from keyservice.contract.names import Operation

from .rig import GETTY, LOCKER, SESSIONS, SSHD, SU, SU_BY_SSH

LOGIND = Logind(SESSIONS.get, lambda display: display == ":0")
NO_LOGIND = Logind(lambda session: None, lambda display: False)
TTYS = Rules().local_ttys
GHOST = dataclasses.replace(SU, logind_session="gone")
SERIAL = dataclasses.replace(SU, logind_session="serial")
BOBS = dataclasses.replace(LOCKER, logind_session="bobs")
DAEMON = dataclasses.replace(LOCKER, logind_session=None)


def local(caller: Caller, tty: str = "", rhost: str = "", *, logind: Logind = LOGIND) -> bool:
    request = Request(Operation.AUTHENTICATION, "alice", tty=tty, rhost=rhost)
    return judge(caller, request, TTYS, logind).local


@pytest.mark.parametrize("tty", ["tty1", "/dev/tty1", "tty63", "console", "ttyS0", "hvc0", ":0"])
def test_roots_own_login_programs_are_local_on_consoles(tty: str) -> None:
    assert local(GETTY, tty)
    assert not local(GETTY, tty, "192.0.2.1")
    assert not local(GETTY, tty, "127.0.0.1")
    assert not local(DAEMON, tty)


@pytest.mark.parametrize(
    "tty",
    ["", "ssh", "pts/0", "/dev/pts/0", "tty", "ttyp0", "cron", ":1", "host:0", "x/tty1", "/dev/"],
)
def test_no_other_terminal_is(tty: str) -> None:
    assert not local(GETTY, tty)


def test_a_login_session_decides_whatever_the_caller_says() -> None:
    assert local(SU, "pts/0")
    assert not local(SU_BY_SSH, "tty1")
    assert not local(SU_BY_SSH, ":0")
    assert local(LOCKER)
    assert not local(BOBS)  # somebody else's session
    assert not local(GHOST, "tty1")
    assert local(SERIAL)  # no seat, but a console


def test_an_sshd_that_was_started_at_the_desk_is_remote_as_any() -> None:
    by_hand = dataclasses.replace(SSHD, loginuid=1000, logind_session="desk")
    assert not local(by_hand, "ssh", "192.0.2.1")
    assert not local(by_hand, "ssh", "127.0.0.1")


def test_out_of_its_session_su_is_where_its_controlling_terminal_is() -> None:
    """By ``systemd-run --user``, say, with the output on a console where its user is logged in."""
    master, slave = os.openpty()
    try:
        name, device = os.ttyname(slave), os.fstat(slave).st_rdev
        for terminal, there in ((device, True), (device + 1, False), (0, False)):
            su = dataclasses.replace(SU, logind_session=None, terminal=terminal)
            for logind in (LOGIND, NO_LOGIND):
                request = Request(Operation.AUTHENTICATION, "alice", tty=name)
                assert judge(su, request, ("pts/*",), logind).local is there
    finally:
        os.close(master)
        os.close(slave)
    assert not local(dataclasses.replace(SU, logind_session=None), "tty99999")
    assert not local(dataclasses.replace(GETTY, ruid=None), "tty1")


def test_a_session_that_is_neither_remote_nor_on_a_seat_is_remote() -> None:
    for tty in ("", "pts/1", "cron"):
        logind = Logind(lambda session, tty=tty: LoginSession(1000, False, "", tty))  # type: ignore[misc]
        assert not local(SU, "tty1", logind=logind)
    logind = Logind(lambda session: LoginSession(1000, True, "seat0", "tty1"))
    assert not local(SU, "tty1", logind=logind)


def test_without_logind_the_terminals_decide() -> None:
    assert local(GETTY, "tty1", logind=NO_LOGIND)
    assert not local(GETTY, ":0", logind=NO_LOGIND)
    assert not local(dataclasses.replace(SU, logind_session=None), "pts/0", logind=NO_LOGIND)


@pytest.mark.parametrize("ttys", [(), ("tty7",)])
def test_the_terminals_are_configured(ttys: tuple[str, ...]) -> None:
    request = Request(Operation.AUTHENTICATION, "alice", tty="tty1")
    assert not judge(GETTY, request, ttys, LOGIND).local


# -- libsystemd, on the files that logind would write


@pytest.fixture
def runtime() -> Iterator[Path]:
    """/run/systemd/sessions, which nobody else writes in a sandbox."""
    folder = Path("/run/systemd/sessions")
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for path in folder.glob("ukeytest*"):
        path.unlink()
    if not existed:
        folder.rmdir()


def test_what_logind_wrote_is_read(runtime: Path) -> None:
    (runtime / "ukeytest1").write_text("UID=1000\nREMOTE=1\nTTY=pts/3\nSTATE=active\n")
    (runtime / "ukeytest2").write_text(
        "UID=1001\nREMOTE=0\nSEAT=seat0\nTTY=tty7\nDISPLAY=:0\nSTATE=active\n"
    )
    (runtime / "ukeytest3").write_text("UID=1001\nREMOTE=1\nSEAT=seat0\nDISPLAY=:1\n")
    assert sdlogin.describe("ukeytest1") == LoginSession(1000, True, "", "pts/3")
    assert sdlogin.describe("ukeytest2") == LoginSession(1001, False, "seat0", "tty7")
    assert sdlogin.describe("ukeytest9") is None
    assert sdlogin.describe("../../../etc/passwd") is None
    assert sdlogin.has_display(":0")
    assert not sdlogin.has_display(":1")
    assert not sdlogin.has_display(":2")


def test_a_process_in_no_session_has_none() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        assert sdlogin.session_of(os.getpid(), pidfd) is None
        assert sdlogin.session_of(0, pidfd) is None
    finally:
        os.close(pidfd)


def test_a_process_that_has_ended_has_none() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    pidfd = os.pidfd_open(child.pid)
    try:
        child.wait(10)
        assert sdlogin.session_of(child.pid, pidfd) is None
    finally:
        os.close(pidfd)


def test_asking_leaks_nothing(runtime: Path) -> None:
    (runtime / "ukeytest2").write_text("UID=1001\nREMOTE=0\nSEAT=seat0\nTTY=tty7\nDISPLAY=:0\n")

    def grown() -> int:
        before = resident()
        for _ in range(3000):
            sdlogin.describe("ukeytest2")
            sdlogin.has_display(":9")
        return resident() - before

    grown()
    assert grown() < 256  # KiB; 3,000 lost strings would be more


def resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
