# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Local or remote: decided here, of what the kernel and logind say, never of the caller's word.

A ukey that was left in a machine proves nothing about someone far away, so whatever is not known
to be local is remote: every sshd, loopback included, and su or sudo below a remote session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from . import sdlogin
from .conversation import Caller, Request

_DISPLAY = re.compile(r":[0-9]{1,5}(\.[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a caller is, and why it is thought so, for the log."""

    local: bool
    why: str


@dataclass(frozen=True, slots=True)
class Logind:
    """The questions that are asked of logind."""

    describe: Callable[[str], sdlogin.LoginSession | None] = sdlogin.describe
    has_display: Callable[[str], bool] = sdlogin.has_display


def judge(
    caller: Caller, request: Request, ttys: Sequence[str], logind: Logind | None = None
) -> Place:
    """Where the person behind `caller` sits.

    Remote wherever a host is named: an sshd that was started by hand at the desk runs in the desk's
    session. With a login session: local if it is not remote and has a seat, or was opened on one of
    the `ttys` (shell patterns; a serial console has no seat). Without one, for root's own programs
    such as getty and greeters: local if PAM_TTY is one of `ttys` or the display of a seat.

    PAM_TTY is believed of root only, and of a program that a person began, such as su, only where
    it is the controlling terminal: su names whatever its input or output is, and who is logged in
    at a console can open that from afar.
    """
    logind = logind or Logind()
    if request.rhost:
        return Place(False, "a remote host was named")
    if caller.logind_session is not None:
        return _by_session(caller, ttys, logind)
    if not caller.root:
        return Place(False, "not root, and in no login session")
    if caller.ruid != 0 and not _controlled(caller, request.tty):
        return Place(False, "no login session, and not its controlling terminal")
    if _matches(request.tty, ttys):
        return Place(True, "a console of this machine")
    if _DISPLAY.fullmatch(request.tty) and logind.has_display(request.tty.partition(".")[0]):
        return Place(True, "the display of a seat")
    return Place(False, "no login session, and no console of this machine")


def _by_session(caller: Caller, ttys: Sequence[str], logind: Logind) -> Place:
    assert caller.logind_session is not None
    session = logind.describe(caller.logind_session)
    if session is None:
        return Place(False, "its login session is gone")
    if not caller.root and session.uid != caller.uid:
        return Place(False, "its login session is somebody else's")
    if session.remote:
        return Place(False, "its login session is remote")
    if session.seat:
        return Place(True, "its login session has a seat")
    if _matches(session.tty, ttys):
        return Place(True, "its login session is on a console of this machine")
    return Place(False, "its login session has no seat")


def _controlled(caller: Caller, tty: str) -> bool:
    """Whether `tty` is the caller's controlling terminal."""
    try:
        device = Path("/dev", tty.removeprefix("/dev/")).stat().st_rdev
    except (OSError, ValueError):
        return False
    return device != 0 and device == caller.terminal


def _matches(tty: str, patterns: Sequence[str]) -> bool:
    name = tty.removeprefix("/dev/")
    return bool(name) and any(fnmatchcase(name, pattern) for pattern in patterns)
