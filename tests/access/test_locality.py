# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Local or remote, by rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from keyservice.access import verdicts
from keyservice.access.conversation import Caller, Request
from keyservice.access.locality import Logind, judge, refusal
from keyservice.access.messages import Texts
from keyservice.access.sdlogin import LoginSession
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName
from keyservice.core.reasons import Reason
from tests.support.consoles import kernel_has
from tests.support.terminal import Terminal

from .rig import GETTY, LOCKER, LOGIND, SESSIONS, SSHD, SU, SU_BY_SSH, desk_has

NO_LOGIND = Logind(lambda session: None, lambda display: [], lambda console: None)
DESK = SESSIONS["desk"]
TTYS = Rules().local_ttys
GHOST = dataclasses.replace(SU, logind_session="gone")
SERIAL = dataclasses.replace(SU, logind_session="serial")
OUTSIDE = dataclasses.replace(SU, logind_session=None)  #: su by alice, by ``systemd-run --user``
#: The desk's session later: alice logs out and leaves programs behind; and states that do not exist
#: at all.
ENDED = [
    dataclasses.replace(DESK, **facts)
    for facts in (
        {"state": "closing"},
        {"state": ""},
        {"kind": "background"},
        {"kind": "manager"},
        {"kind": ""},
        {"host": "localhost"},
        {"tty": "pts/4"},
        {"remote": True},
    )
]
#: The same on tty5.
AT_TTY5 = dataclasses.replace(DESK, tty="tty5")
KEPT = [
    dataclasses.replace(each, tty=each.tty.replace("tty2", "tty5"))
    for each in (*ENDED, dataclasses.replace(DESK, tty=""), dataclasses.replace(DESK, tty="tty1"))
]
BOBS = dataclasses.replace(LOCKER, logind_session="bobs")
DAEMON = dataclasses.replace(LOCKER, logind_session=None)


def local(
    caller: Caller,
    tty: str = "",
    rhost: str = "",
    *,
    service: str = "login",
    ttys: Sequence[str] = TTYS,
    logind: Logind = LOGIND,
) -> bool:
    request = Request(operations.AUTHENTICATION, "alice", service=service, tty=tty, rhost=rhost)
    return judge(caller, request, ttys, logind).local


@contextmanager
def at(console: str, caller: Caller) -> Iterator[Caller]:
    """`caller` with this console, which exists inside, as its controlling terminal."""
    terminal = Terminal(console)
    try:
        yield dataclasses.replace(caller, terminal=terminal.path.stat().st_rdev)
    finally:
        terminal.close()


@pytest.mark.parametrize("tty", ["tty1", "/dev/tty1", "tty63", ":0"])
def test_roots_own_login_programs_are_local_on_consoles(tty: str) -> None:
    assert local(GETTY, tty)
    assert local(GETTY, tty, service="greetd")
    assert not local(GETTY, tty, "192.0.2.1")
    assert not local(GETTY, tty, "127.0.0.1")
    assert not local(DAEMON, tty)


@pytest.mark.parametrize("tty", ["console", "ttyS0", "hvc0"])
def test_on_other_consoles_login_alone_is_local(tty: str) -> None:
    """getty starts it there; group dialout can open a serial line, and begins everything else."""
    with at(tty, GETTY) as getty:
        for name in (tty, f"/dev/{tty}"):
            assert local(getty, name)
            assert not local(getty, name, "192.0.2.1")
            for service in ("su", "sudo", "other", ""):
                assert not local(getty, name, service=service)  # sudo has become root
        assert not local(dataclasses.replace(getty, terminal=0), tty)
        for service in ("login", "su"):  # somebody may have a login that is setuid
            assert not local(dataclasses.replace(OUTSIDE, terminal=getty.terminal), tty)
            alone = dataclasses.replace(OUTSIDE, terminal=getty.terminal, ruid=None)
            assert not local(alone, tty, service=service)


@pytest.mark.parametrize(
    "tty", ["ttyAMA0", "xvc0", "ttysclp0", "sclp_line0", "3270/tty1", "ttyS0", "hvc0"]
)
def test_the_kernel_says_which_lines_are_consoles(tty: str) -> None:
    by_default = tty in ("ttyS0", "hvc0")
    with at(tty, GETTY) as getty:
        with kernel_has("tty0", "ttyUSB7"):
            assert local(getty, tty) is by_default
        with kernel_has("tty0", tty):
            assert local(getty, tty)
            assert local(getty, f"/dev/{tty}")
            assert local(getty, "tty0") is False
            assert not local(getty, tty, ttys=("tty[0-9]*",))
            assert not local(getty, tty, service="su")
            # getty on /dev/console names that, and has the terminal behind it
            assert local(getty, "console")
        assert local(getty, tty, ttys=(f"/dev/{tty}",))


def test_what_stands_behind_the_console_is_the_last_of_the_kernels() -> None:
    with at("tty9", GETTY) as getty:
        for in_front, there in (("tty9", True), ("tty8", False)):
            with kernel_has("ttyS0", "tty0", in_front=in_front):
                assert local(getty, "console") is there
        with kernel_has("tty9"):
            assert local(getty, "console")
    with at("ttyS0", GETTY) as getty, kernel_has("ttyS0", "tty9"):
        assert not local(getty, "console")


@pytest.mark.parametrize(
    "tty",
    [
        "",
        "ssh",
        "pts/0",
        "/dev/pts/0",
        "tty",
        "ttyp0",
        "cron",
        ":1",
        "host:0",
        "x/tty1",
        "/dev/",
        "tty0",
        "tty64",
        "tty1/../tty1",
        "../dev/tty1",
        "/dev//tty1",
    ],
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
    assert local(SERIAL)  # no seat, but a console that it logged in at


def test_a_session_that_su_opened_on_a_serial_line_is_remote() -> None:
    """pam_systemd opens one for programs of ``systemd-run --user``, and takes su's word."""
    for service, there in (("login", True), ("su", False), ("", False)):
        session = LoginSession(1000, False, "", "ttyS0", service)
        assert local(SU, "pts/0", logind=Logind({"desk": session}.get)) is there


def test_a_session_that_has_no_seat_is_on_no_virtual_console() -> None:
    """logind gives each such session its seat. A user can name another terminal."""
    session = LoginSession(1000, False, "", "tty5", "sshd")
    assert not local(SU, "tty5", logind=Logind({"desk": session}.get))


def test_an_sshd_that_was_started_at_the_desk_is_remote_as_any() -> None:
    by_hand = dataclasses.replace(SSHD, loginuid=1000, logind_session="desk")
    assert not local(by_hand, "ssh", "192.0.2.1")
    assert not local(by_hand, "ssh", "127.0.0.1")


@contextmanager
def logged_in(*sessions: LoginSession) -> Iterator[Logind]:
    """A logind that has these on tty5."""
    yield dataclasses.replace(LOGIND, at_console=lambda console: sessions if console == 5 else ())


@pytest.mark.parametrize("name", ["desk", "serial"])
def test_a_session_that_su_opened_is_where_its_caller_says(name: str) -> None:
    """cron is in no session. If the stack reads the caller's ``.pam_environment``, su opens a
    session from there on any seat and console that is free."""
    opened = dataclasses.replace(SESSIONS[name], by_setuid=True)
    logind = dataclasses.replace(LOGIND, describe={name: opened}.get)
    caller = dataclasses.replace(SU, logind_session=name)
    assert local(caller)
    assert not local(caller, logind=logind)


def test_out_of_its_session_su_is_where_its_controlling_terminal_is() -> None:
    """By ``systemd-run --user``, say, with the output on a console where its user is logged in."""
    with at("tty5", OUTSIDE) as there, logged_in(AT_TTY5) as logind:
        for terminal, here in ((there.terminal, True), (there.terminal + 1, False), (0, False)):
            su = dataclasses.replace(there, terminal=terminal)
            for each in (logind, NO_LOGIND):
                assert local(su, "tty5", service="su", logind=each) is here
                assert local(su, "/dev/tty5", service="su", logind=each) is here
    assert not local(OUTSIDE, "tty6")
    assert not local(dataclasses.replace(GETTY, ruid=None), "tty1")


@pytest.mark.parametrize("ruid", [1000, 0])
@pytest.mark.parametrize("then", KEPT)
def test_a_console_that_a_program_kept_is_nobodys_place(ruid: int, then: LoginSession) -> None:
    """After the logout, programs keep their controlling terminal: su there, and sudo."""
    with at("tty5", dataclasses.replace(OUTSIDE, ruid=ruid)) as kept:
        with logged_in(AT_TTY5) as logind:
            assert local(kept, "tty5", service="sudo", logind=logind)
        for left in ((), (then,), (dataclasses.replace(AT_TTY5, uid=1001),)):
            with logged_in(*left) as logind:
                assert not local(kept, "tty5", service="sudo", logind=logind)
        nested = dataclasses.replace(kept, ruid=1002)  # su in a shell that su gave
        with logged_in(AT_TTY5) as logind:
            assert local(nested, "tty5", service="su", logind=logind)


def test_getty_finds_its_console_whoever_was_there_last() -> None:
    with at("tty5", GETTY) as getty, logged_in() as logind:
        assert local(getty, "tty5", logind=logind)
        by_hand = dataclasses.replace(getty, loginuid=1000)  # an administrator started it again
        assert local(by_hand, "tty5", logind=logind)


@pytest.mark.parametrize("then", ENDED)
def test_where_nobody_is_logged_in_any_more_is_remote(then: LoginSession) -> None:
    """Not `tmux` after its user has left the desk, not cron, not an sshd that claims to be here."""
    logind = dataclasses.replace(
        LOGIND, describe={"desk": then}.get, with_display=lambda display: [then]
    )
    assert not local(SU, "tty2", logind=logind)
    assert not local(LOCKER, logind=logind)
    assert not local(GETTY, ":0", logind=logind)
    assert local(SU, "tty2")
    assert local(GETTY, ":0", logind=dataclasses.replace(logind, with_display=desk_has))


def test_a_session_that_is_neither_remote_nor_on_a_seat_is_remote() -> None:
    for tty in ("", "pts/1", "cron"):
        logind = Logind({"desk": LoginSession(1000, False, "", tty)}.get)
        assert not local(SU, "tty1", logind=logind)
    logind = Logind(lambda session: LoginSession(1000, True, "seat0", "tty1"))
    assert not local(SU, "tty1", logind=logind)


@pytest.mark.parametrize(
    ("caller", "fields", "told"),
    [
        (SSHD, {"service": "sshd", "rhost": "192.0.2.1"}, "comes from another machine: a remote"),
        (SU_BY_SSH, {}, "comes from another machine: its login session is remote. Log in at this"),
        (GETTY, {"service": "polkit-1"}, "a service asks, in no login session and on no terminal."),
        (GETTY, {"service": "polkit-1"}, "whether the service polkit-1 can be allowed that."),
        (GETTY, {"tty": "pts/3"}, "and a pseudo-terminal, which may be far away. Log in on a text"),
        (OUTSIDE, {"tty": "/dev/pts/3"}, "and a pseudo-terminal, which may be far away."),
        (DAEMON, {}, "at this machine: not root, and in no login session. Log in on a text"),
        (GETTY, {"tty": "tty77"}, "no login session, and not its controlling terminal."),
        (GHOST, {}, "its login session is gone."),
        (BOBS, {}, "its login session is somebody else's."),
    ],
)
def test_a_person_is_told_what_was_judged(
    caller: Caller, fields: dict[str, Any], told: str
) -> None:
    request = Request(operations.AUTHENTICATION, "alice", **{"service": "su", **fields})
    error = refusal(judge(caller, request, TTYS, LOGIND), request.service)
    assert (error.name, error.code) == (ErrorName.REMOTE_REFUSED, Code.PERM_DENIED)
    verdict = verdicts.of(error, Texts(Rules(), request, login=True))
    assert told in verdict.text
    assert ("another machine" in verdict.text) == ("another machine" in told)
    why = judge(caller, request, TTYS, LOGIND).why
    assert isinstance(why, Reason) and verdict.detail == {"why": why.value}


def test_a_session_that_was_left_is_told_with_its_remedy() -> None:
    closing = Logind({"desk": dataclasses.replace(DESK, state="closing")}.get)
    request = Request(operations.AUTHENTICATION, "alice", service="sudo")
    error = refusal(judge(SU, request, TTYS, closing), "sudo")
    text = Texts(Rules(), request, login=True).error(error)
    assert "has logged out" in text and "Start it again from the session that you are in." in text


def test_without_logind_the_terminals_decide() -> None:
    assert local(GETTY, "tty1", logind=NO_LOGIND)
    assert not local(GETTY, ":0", logind=NO_LOGIND)
    assert not local(OUTSIDE, "pts/0", logind=NO_LOGIND)


def test_the_terminals_are_configured() -> None:
    for ttys in ((), ("tty7",), ("/dev/tty7",), ("@kernel",), ("tty",)):
        assert not local(GETTY, "tty1", ttys=ttys)
    for ttys in (("tty1",), ("/dev/tty1",), ("/dev/tty?",)):
        assert local(GETTY, "tty1", ttys=ttys)


def test_a_pseudo_terminal_is_never_one_whatever_is_listed() -> None:
    terminal = Terminal()
    try:
        getty = dataclasses.replace(GETTY, terminal=terminal.path.stat().st_rdev)
        for ttys in (("*",), ("pts/*",), (str(terminal.path),)):
            assert not local(getty, terminal.name, ttys=ttys)
    finally:
        terminal.close()
