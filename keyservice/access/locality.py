# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Local or remote: this module decides it by what the kernel and logind say, never by the caller's
word.

A ukey that was left in a machine proves nothing about someone far away, so a caller that is not
known to be local is remote: every sshd, loopback included, and su or sudo below a remote session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from keyservice.core.errors import PlaceLeft, PlaceOfService, PlaceUnknown, RemoteRefused
from keyservice.core.reasons import Reason

from . import consoles, sdlogin
from .conversation import Caller, Request
from .sdlogin import LoginSession

_DISPLAY = re.compile(r":[0-9]{1,5}(\.[0-9]{1,5})?")
#: The states of a session that goes on. After a logout, the rest of a session is "closing" for as
#: long as any of its programs runs.
_LOGGED_IN = frozenset({"opening", "online", "active"})
#: The classes of sessions with somebody in front of a screen: not cron's, nor a manager's.
_PERSONS = frozenset(
    {"user", "user-early", "user-light", "user-early-light", "user-incomplete"}
    | {"greeter", "lock-screen"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a caller is, and why it is thought so."""

    local: bool
    why: Reason | str  #: a text for the log if it is local


#: What a person can do next depends on it; for all other reasons it is PlaceUnknown.
_REFUSALS: Mapping[str, type[RemoteRefused]] = {
    Reason.PLACE_HOST: RemoteRefused,
    Reason.PLACE_REMOTE: RemoteRefused,
    Reason.PLACE_SERVICE: PlaceOfService,
    Reason.PLACE_ENDED: PlaceLeft,
}


def refusal(place: Place, service: str, message: str = "") -> RemoteRefused:
    """The error that says why `place` is not local, and what the person can do next. `message`:
    what the log says in the place of its own sentence."""
    kind = _REFUSALS.get(place.why, PlaceUnknown)
    return kind(message, why=str(place.why), service=service)


@dataclass(frozen=True, slots=True)
class Logind:
    """The questions that are asked of logind."""

    describe: Callable[[str], LoginSession | None] = sdlogin.describe
    with_display: Callable[[str], Sequence[LoginSession]] = sdlogin.with_display
    #: None where there is no logind
    at_console: Callable[[int], Sequence[LoginSession] | None] = sdlogin.at_console


def judge(
    caller: Caller, request: Request, ttys: Sequence[str], logind: Logind | None = None
) -> Place:
    """Where the person behind `caller` sits.

    Remote if a host is named: an sshd that was started by hand at the desk runs in the desk's
    session. With a login session: local if somebody is logged in by it who is not remote, no setuid
    program opened it, and it has a seat, or `login` opened it on one of the `ttys` (a serial
    console has no seat). Without one, for root's own programs such as getty and greeters: local if
    PAM_TTY is one of `ttys` or the display of a seat. ``consoles`` has what counts as a console.

    Only root's PAM_TTY is believed. That of a program that a person began, such as su, is believed
    only if it is the controlling terminal: su names its input or output, whatever that is, and a
    person who is logged in at a console can open that from afar. If there is a logind to tell, that
    person must also be logged in there still: a process that had a console once may keep it. A
    terminal that is no virtual console is believed only of root's own login there: a group may
    open it, from afar too.
    """
    logind = logind or Logind()
    if request.rhost:
        return Place(False, Reason.PLACE_HOST)
    if caller.logind_session is not None:
        return _by_session(caller, ttys, logind)
    if not caller.root:
        return Place(False, Reason.PLACE_OWN)
    if not request.tty and not caller.terminal:
        return Place(False, Reason.PLACE_SERVICE)
    if consoles.is_pseudo(request.tty):
        return Place(False, Reason.PLACE_PTY)
    believed = caller.ruid == 0 and (consoles.is_virtual(request.tty) or _is_display(request.tty))
    if not believed and not consoles.controls(caller.terminal, request.tty):
        return Place(False, Reason.PLACE_TERMINAL)
    if caller.ruid != 0 and not consoles.is_virtual(request.tty):
        return Place(False, Reason.PLACE_NO_CONSOLE)
    if consoles.is_console(request.tty, request.service, ttys):
        if not _still_there(_begun_by(caller, request), request.tty, logind):
            return Place(False, Reason.PLACE_LEFT_CONSOLE)
        return Place(True, "a console of this machine")
    if _is_display(request.tty) and _is_here(request.tty.partition(".")[0], logind):
        return Place(True, "the display of a seat")
    return Place(False, Reason.PLACE_NO_CONSOLE)


def _by_session(caller: Caller, ttys: Sequence[str], logind: Logind) -> Place:
    assert caller.logind_session is not None
    session = logind.describe(caller.logind_session)
    if session is None:
        return Place(False, Reason.PLACE_GONE)
    if not caller.root and session.uid != caller.uid:
        return Place(False, Reason.PLACE_OTHERS)
    away = _away(session)
    if away is not None:
        return Place(False, away)
    if session.by_setuid:
        return Place(False, Reason.PLACE_SETUID)
    if session.seat:
        return Place(True, "its login session has a seat")
    login = session.service == consoles.LOGIN  # the others' consoles are all on a seat
    if login and consoles.is_console(session.tty, session.service, ttys):
        return Place(True, "its login session is on a console of this machine")
    return Place(False, Reason.PLACE_NO_SEAT)


def _away(session: LoginSession) -> Reason | None:
    """Why nobody is at this machine by `session`, whatever its seat; None if somebody may be."""
    if session.remote or session.host:
        return Reason.PLACE_REMOTE
    left = _left(session)
    if left is not None:
        return left
    if consoles.is_pseudo(session.tty):
        return Reason.PLACE_SESSION_PTY  # its seat comes from somebody's environment
    return None


def _left(session: LoginSession) -> Reason | None:
    """Why nobody is logged in by `session`, here or from afar; None if somebody may be."""
    if session.state not in _LOGGED_IN:
        return Reason.PLACE_ENDED
    if session.kind not in _PERSONS:
        return Reason.PLACE_NOBODYS
    return None


def goes_on(session: LoginSession) -> bool:
    """Whether somebody is logged in by `session`, anywhere, and no setuid program opened it."""
    return not _left(session) and not session.by_setuid


def _begun_by(caller: Caller, request: Request) -> frozenset[int]:
    """The uids of the people who began a program in no login session; none for root's own programs,
    such as login.

    sudo is uid 0 throughout, so only the login uid is left.
    """
    if caller.ruid != 0:
        return frozenset(uid for uid in (caller.ruid, caller.loginuid) if uid is not None)
    if caller.loginuid is not None and caller.terminal and request.service != consoles.LOGIN:
        return frozenset({caller.loginuid})
    return frozenset()


def _still_there(people: frozenset[int], tty: str, logind: Logind) -> bool:
    """Whether one of `people` is logged in at the console `tty`; true if that is not asked."""
    if not people or not consoles.is_virtual(tty):
        return True
    sessions = logind.at_console(consoles.number_of(tty))
    if sessions is None:
        return True
    name = consoles.name_of(tty)  # without a terminal it may have told its console
    here = [each for each in sessions if each.tty == name and not _away(each)]
    return any(each.uid in people for each in here)


def _is_here(display: str, logind: Logind) -> bool:
    return any(each.seat and not _away(each) for each in logind.with_display(display))


def _is_display(tty: str) -> bool:
    return _DISPLAY.fullmatch(tty) is not None
