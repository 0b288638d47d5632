# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Login sessions, asked of libsystemd's sd-login: it reads files below /run, and no bus."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

#: elogind offers the same functions where there is no systemd.
_LIBRARIES = ("libsystemd.so.0", "libelogind.so.0")


@dataclass(frozen=True, slots=True)
class LoginSession:
    """What logind says of a session."""

    uid: int
    remote: bool
    seat: str  #: empty where it has none
    tty: str  #: without /dev/; empty where it has none


def session_of(pid: int, pidfd: int) -> str | None:
    """The id of the login session that a process belongs to, None where it has none.

    `pidfd` is the process's own descriptor; `pid` is used where libsystemd is older than 253, and
    the descriptor then proves that the number still meant that process after the answer.
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
    """The facts about a session, None where there is no such session or no logind."""
    library = _library()
    if library is None:
        return None
    name = os.fsencode(session)
    uid = ctypes.c_uint32()
    remote = library.sd_session_is_remote(name)
    if remote < 0 or library.sd_session_get_uid(name, ctypes.byref(uid)) < 0:
        return None
    return LoginSession(
        uid=uid.value,
        remote=remote != 0,
        seat=_text(lambda out: library.sd_session_get_seat(name, out)) or "",
        tty=_text(lambda out: library.sd_session_get_tty(name, out)) or "",
    )


def has_display(display: str) -> bool:
    """Whether `display` (such as ``:0``) is that of a local session on a seat."""
    library = _library()
    if library is None:
        return False
    for session in _sessions(library):
        facts = describe(session)
        if facts is None or facts.remote or not facts.seat:
            continue
        name = os.fsencode(session)
        if _text(lambda out, name=name: library.sd_session_get_display(name, out)) == display:  # type: ignore[misc]
            return True
    return False


def _sessions(library: Any) -> list[str]:
    array = ctypes.POINTER(ctypes.c_void_p)()
    count = library.sd_get_sessions(ctypes.byref(array))
    if count <= 0:
        return []
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
        library.sd_session_is_remote.argtypes = [ctypes.c_char_p]
        for function in ("get_uid", "get_seat", "get_tty", "get_display"):
            getattr(library, f"sd_session_{function}").argtypes = [
                ctypes.c_char_p,
                ctypes.c_void_p,
            ]
        library.sd_get_sessions.argtypes = [ctypes.c_void_p]
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
