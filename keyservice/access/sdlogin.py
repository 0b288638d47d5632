# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Login sessions: which one a process is in, by sd-login, and what logind has written of each.

No bus is asked. This module, and not sd-login, reads what is written of a session. logind writes
each fact as a line, and some facts are a person's own words, unchanged (the display, in systemd
252: the person who controls a session may set it). sd-login takes the last line of a name: so a
person can make it say that their session from afar has a seat and is not remote. Here, if a name
comes twice, nothing of the session is believed, and a seat counts only if the seat itself has the
session. pam_systemd takes the seat and the class of a new session from PAM's environment, and some
stacks fill that from the person's own file: for a program such as su, they are its caller's word.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from keyservice.core.opening import at_once_no_link
from keyservice.core.processes import uids_of

_LOG = logging.getLogger(__name__)

#: elogind offers the same functions on hosts without systemd.
_LIBRARIES = ("libsystemd.so.0", "libelogind.so.0")
#: The seat that has virtual consoles.
_SEAT0 = "seat0"
_SESSIONS = Path("/run/systemd/sessions")
_SIZE_MAX = 65536  #: bytes that are read of a session's file


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What logind says of a session."""

    uid: int
    remote: bool
    seat: str  #: empty where it has none
    tty: str  #: without /dev/; empty where it has none
    service: str = ""  #: the PAM service that opened it
    state: str = "active"  #: as sd_session_get_state(3)
    kind: str = "user"  #: its class, as sd_session_get_class(3)
    host: str = ""  #: the remote host; for one that calls itself localhost `remote` is False
    console: int = 0  #: the number of its virtual console, 0 where it has none
    display: str = ""  #: the person's own word
    leader: int = 0  #: the pid of the process that opened it, 0 where it is not told
    #: Whether a setuid program such as su opened it, or a program that cannot be judged.
    by_setuid: bool = False


def session_of(pid: int, pidfd: int) -> str | None:
    """The id of the login session that a process belongs to, None where it has none.

    `pidfd` is the process's own descriptor. If libsystemd is older than 253, `pid` is used, and
    the descriptor proves that the number still meant that process after the answer.
    """
    library = _library()
    if library is None or pid <= 0:
        return None
    by_descriptor = getattr(library, "sd_pidfd_get_session", None)
    if by_descriptor is not None:
        return _text(lambda out: by_descriptor(pidfd, out))
    found = _text(lambda out: library.sd_pid_get_session(pid, out))
    if select.select([pidfd], [], [], 0)[0]:  # readable: it has ended
        return None
    return found


def describe(session: str) -> LoginSession | None:
    """The facts about a session, None if there are none that can be believed."""
    facts = _facts(session)
    try:
        uid, remote = int(facts["UID"]), {"0": False, "1": True}[facts["REMOTE"]]
        console, leader = int(facts.get("VTNR", "0")), int(facts.get("LEADER") or "0")
    except (KeyError, ValueError):
        return None
    seat = facts.get("SEAT", "")
    return LoginSession(
        uid=uid,
        remote=remote,
        seat=seat if seat and session in _of_seat(seat) else "",
        tty=facts.get("TTY", ""),
        service=facts.get("SERVICE", ""),
        state=facts.get("STATE", ""),
        kind=facts.get("CLASS", ""),
        host=facts.get("REMOTE_HOST", ""),
        console=console,
        display=facts.get("DISPLAY", ""),
        leader=leader,
        by_setuid=_is_setuid(leader),
    )


def _is_setuid(leader: int) -> bool:
    """Whether the process that opened a session has other rights than the user who started it."""
    try:
        real, effective, *_ = uids_of(leader)
    except (OSError, ValueError):
        return True
    return real != effective


def _facts(session: str) -> Mapping[str, str]:
    """What logind has written of a session, by name; nothing if a name comes twice."""
    if not (session.isascii() and session.isalnum()):
        return {}
    try:
        with open(_SESSIONS / session, "rb", opener=at_once_no_link) as file:
            content = file.read(_SIZE_MAX + 1)
    except OSError:
        return {}
    if len(content) > _SIZE_MAX:
        return {}
    facts: dict[str, str] = {}
    for line in content.decode(errors="replace").splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name in facts:
            _LOG.warning("somebody wrote into what logind says of session %s: %r", session, name)
            return {}
        if name and not name.startswith("#"):
            facts[name] = value.strip('"')
    return facts


def with_display(display: str) -> list[LoginSession]:
    """The sessions whose display is `display`, such as ``:0``."""
    library = _library()
    if library is None:
        return []
    return [each for each in _described(_names(library.sd_get_sessions)) if each.display == display]


def at_console(number: int) -> list[LoginSession] | None:
    """The sessions on the virtual console `number`; None if there is no logind.

    A session that cannot be read is left out.
    """
    library = _library()
    if library is None or library.sd_get_seats(None) == 0:
        return None
    return [each for each in _described(_of_seat(_SEAT0)) if each.seat and each.console == number]


def _of_seat(seat: str) -> list[str]:
    """The sessions that a seat has, by its own account."""
    library = _library()
    if library is None:
        return []
    name = os.fsencode(seat)
    return _names(lambda out: library.sd_seat_get_sessions(name, out, None, None))


def _described(sessions: Iterable[str]) -> list[LoginSession]:
    return [facts for facts in map(describe, sessions) if facts is not None]


def _names(call: Callable[[Any], int]) -> list[str]:
    """The strings that `call` puts into the ``char ***`` that it is given: it returns how many."""
    array = ctypes.POINTER(ctypes.c_void_p)()
    count = call(ctypes.byref(array))
    names = [_taken(array[index]) for index in range(count)]
    _libc().free(array)
    return names


def _text(call: Callable[[Any], int]) -> str | None:
    """The string that `call` puts into the ``char **`` that it is given, None if it fails."""
    out = ctypes.c_void_p()
    if call(ctypes.byref(out)) < 0 or not out.value:
        return None
    return _taken(out.value)


def _taken(pointer: int | None) -> str:
    """The string at `pointer`, which is freed."""
    if pointer is None:
        return ""
    text = os.fsdecode(ctypes.string_at(pointer))
    _libc().free(ctypes.c_void_p(pointer))
    return text


@cache
def _library() -> Any | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.sd_pid_get_session.argtypes = [ctypes.c_int, ctypes.c_void_p]
        library.sd_get_sessions.argtypes = [ctypes.c_void_p]
        library.sd_get_seats.argtypes = [ctypes.c_void_p]
        library.sd_seat_get_sessions.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3]
        if hasattr(library, "sd_pidfd_get_session"):
            library.sd_pidfd_get_session.argtypes = [ctypes.c_int, ctypes.c_void_p]
        return library
    return None


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free.restype = None
    return libc
