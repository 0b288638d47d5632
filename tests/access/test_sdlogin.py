# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is believed of logind's sessions, by its own files and the real libsystemd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access import sdlogin
from keyservice.access.sdlogin import LoginSession


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


@pytest.fixture
def seats() -> Iterator[Path]:
    """/run/systemd/seats, likewise."""
    folder = Path("/run/systemd/seats")
    folder.mkdir(parents=True)
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


#: As logind 252 writes it: a session at the desk, and one from afar.
WRITTEN = """\
# This is private data. Do not parse.
UID=1001
USER=bob
ACTIVE=1
IS_DISPLAY=1
STATE=active
REMOTE=0
TYPE=x11
CLASS=user
SCOPE=session-2.scope
SEAT=seat0
TTY=tty7
DISPLAY=:0
SERVICE=gdm-password
DESKTOP="GNOME Classic"
VTNR=7
LEADER=1
"""
FROM_AFAR = """\
# This is private data. Do not parse.
UID=1000
STATE=active
REMOTE=1
TYPE=tty
CLASS=user
TTY=pts/3
DISPLAY=:0
REMOTE_HOST=192.0.2.1
SERVICE=sshd
LEADER=1
"""
BOB = LoginSession(1001, False, "seat0", "tty7", "gdm-password", console=7, display=":0", leader=1)


def sit(seats: Path, *sessions: str) -> None:
    (seats / "seat0").write_text(f"IS_SEAT0=1\nSESSIONS={' '.join(sessions)}\n")


def test_what_logind_wrote_is_read(runtime: Path, seats: Path) -> None:
    sit(seats, "ukeytest2")
    (runtime / "ukeytest1").write_text(FROM_AFAR)
    (runtime / "ukeytest2").write_text(WRITTEN)
    afar = LoginSession(1000, True, "", "pts/3", "sshd", host="192.0.2.1", display=":0", leader=1)
    assert sdlogin.describe("ukeytest1") == afar
    assert sdlogin.describe("ukeytest2") == BOB
    assert sdlogin.describe("ukeytest9") is None
    assert sdlogin.describe("../../../etc/passwd") is None
    found = sdlogin.with_display(":0")
    assert sorted(found, key=lambda each: each.uid) == [afar, BOB]
    assert sdlogin.with_display(":1") == []


@pytest.mark.parametrize("line", ["REMOTE=0", "STATE=active", " REMOTE =0", "SERVICE=login"])
@pytest.mark.parametrize("more", ["", "\nX='", '\nX="', "\nX=\\"])
def test_what_a_person_wrote_between_makes_it_worth_nothing(
    runtime: Path, seats: Path, caplog: pytest.LogCaptureFixture, line: str, more: str
) -> None:
    """By logind's SetDisplay: a person controls their own session, and may call it."""
    sit(seats, "ukeytest1")
    for end in ("\n", "\r"):
        forged = f"DISPLAY=:0{end}{line}{more}"
        (runtime / "ukeytest1").write_text(FROM_AFAR.replace("DISPLAY=:0", forged))
        assert sdlogin.describe("ukeytest1") is None
    assert "somebody wrote into what logind says of session ukeytest1" in caplog.text


def test_a_link_in_the_place_of_what_logind_wrote_is_not_followed(
    runtime: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text(WRITTEN)
    (runtime / "ukeytest1").symlink_to(tmp_path / "elsewhere")
    assert sdlogin.describe("ukeytest1") is None


def test_a_seat_is_one_that_has_the_session(runtime: Path, seats: Path) -> None:
    """cron's session names neither seat nor host, so a line that does is its only one."""
    sit(seats, "ukeytest2")
    own = FROM_AFAR.replace("REMOTE=1", "REMOTE=0").replace("REMOTE_HOST=192.0.2.1\n", "")
    for name in ("ukeytest1", "ukeytest2"):
        (runtime / name).write_text(own.replace("DISPLAY=:0", "DISPLAY=:0\nSEAT=seat0\nVTNR=7"))
    mine, seated = sdlogin.describe("ukeytest1"), sdlogin.describe("ukeytest2")
    assert mine is not None
    assert seated is not None
    assert (mine.seat, seated.seat) == ("", "seat0")
    (runtime / "ukeytest1").write_text(own.replace("DISPLAY=:0", "DISPLAY=:0\nSEAT=../seats/seat0"))
    away = sdlogin.describe("ukeytest1")
    assert away is not None
    assert away.seat == ""


def test_who_opened_it_is_read(runtime: Path) -> None:
    """su has its caller's real uid; nobody can tell that of an ended process."""
    su = subprocess.Popen(
        [sys.executable, "-c", "import os; os.setresuid(1001, 0, 0); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert su.stdout is not None
        su.stdout.readline()
        for leader, expected in (
            (f"LEADER={su.pid}\n", True),
            (f"LEADER={os.getpid()}\n", False),
            ("LEADER=\n", True),
            ("", True),
        ):
            (runtime / "ukeytest1").write_text(WRITTEN.replace("LEADER=1\n", leader))
            found = sdlogin.describe("ukeytest1")
            assert found is not None
            assert found.by_setuid is expected, leader
    finally:
        su.communicate(b"\n", timeout=10)
    (runtime / "ukeytest1").write_text(WRITTEN.replace("LEADER=1", f"LEADER={su.pid}"))
    found = sdlogin.describe("ukeytest1")
    assert found is not None
    assert found.by_setuid


@pytest.mark.parametrize("odd", ["", "UID=1000\n", "UID=x\nREMOTE=0\n", "UID=1\nREMOTE=no\n"])
def test_what_is_not_told_in_full_is_no_session(runtime: Path, odd: str) -> None:
    (runtime / "ukeytest1").write_text(odd)
    assert sdlogin.describe("ukeytest1") is None
    (runtime / "ukeytest1").write_text("UID=1000\nREMOTE=0\n" + "X" * 65536)
    assert sdlogin.describe("ukeytest1") is None
    (runtime / "ukeytest1").unlink()
    os.mkfifo(runtime / "ukeytest1")  # such as logind's own, NAME.ref
    assert sdlogin.describe("ukeytest1") is None


def test_who_is_on_a_console_is_read(runtime: Path, seats: Path) -> None:
    for number, console in ((1, 5), (2, 6), (3, 5), (4, 5)):
        text = WRITTEN.replace("VTNR=7", f"VTNR={console}").replace("UID=1001", f"UID=100{number}")
        (runtime / f"ukeytest{number}").write_text(text)
    assert sdlogin.at_console(5) is None  # no logind
    sit(seats, "ukeytest1", "ukeytest2", "ukeytest3", "ukeytest9")
    here = sdlogin.at_console(5)
    assert here is not None
    assert [each.uid for each in here] == [1001, 1003]  # the fourth is none of the seat's
    assert sdlogin.at_console(7) == []
    sit(seats)
    assert sdlogin.at_console(5) == []


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


def test_asking_leaks_nothing(runtime: Path, seats: Path) -> None:
    (runtime / "ukeytest2").write_text(WRITTEN)
    sit(seats, "ukeytest2")

    def grown() -> int:
        before = resident()
        for _ in range(1500):
            sdlogin.with_display(":9")
            sdlogin.at_console(7)  # which describes it
        return resident() - before

    grown()
    assert grown() < 128  # KiB; 1,500 lost descriptions would be more


def resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
