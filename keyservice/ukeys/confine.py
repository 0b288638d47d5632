# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a child process gives up before it listens to a device.

It stays uid 0, which pcscd's socket may ask for, but uid 0 is a credential elsewhere. So it keeps
no capability, no file (if the kernel has Landlock, neither records nor configuration can be opened
any more) and no core dump. Others cannot read its memory, and it dies with its parent. Once it has
its connection to pcscd, it keeps only the system calls that talk over open descriptors: no new
socket, no signal, no process, nobody's memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from keyservice.core.hardening import (
    leave_no_core,
    lock_memory,
    may_lock_without_capability,
    raise_lock_limit,
)
from keyservice.core.seccomp import Filter, Zero

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

# The numbers are the same on all architectures.
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
#: The file rights that version 1, 2 and 3 of Landlock know; the sockets of later ones are needed.
_LANDLOCK_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_LANDLOCK_RIGHTS_3 = (1 << 15) - 1

_CAPABILITY_VERSION_3 = 0x20080522

_NOT_EXECUTABLE: Final = (Zero(2, mmap.PROT_EXEC),)
#: On s390x mmap has one argument, a pointer to the others, which no filter can see.
_MAPPED: Final = () if os.uname().machine == "s390x" else _NOT_EXECUTABLE

#: All that a process may ask of the kernel once it has its connections. The names are those of all
#: architectures: 64-bit ones and, with "time64" and "mmap2", 32-bit ones.
_CALLS: Final[Mapping[str, Sequence[Zero]]] = {
    # open descriptors: the service's socket, pcscd's, the pipe for standard error. No message may
    # carry a descriptor, or have an address.
    **dict.fromkeys(("read", "write", "writev", "recvfrom", "recv", "send", "close"), ()),
    "sendto": (Zero(4),),
    **dict.fromkeys(("poll", "ppoll", "ppoll_time64"), ()),
    **dict.fromkeys(("select", "_newselect", "pselect6", "pselect6_time64"), ()),
    # its own memory, none of which becomes code
    **dict.fromkeys(("brk", "munmap", "mremap", "madvise"), ()),
    "mmap": _MAPPED,
    **dict.fromkeys(("mmap2", "mprotect"), _NOT_EXECUTABLE),
    # time, chance, and waiting for itself
    **dict.fromkeys(("clock_gettime", "clock_gettime64", "gettimeofday", "time"), ()),
    **dict.fromkeys(("nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "sched_yield"), ()),
    **dict.fromkeys(("futex", "futex_time64", "getrandom", "getpid"), ()),
    # signals that it gets, and its end
    **dict.fromkeys(("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn"), ()),
    **dict.fromkeys(("restart_syscall", "exit", "exit_group"), ()),
}

#: The watcher has these too: libpcsclite asks whether pcscd's socket is there each time that it
#: has waited in vain. They show which files there are, and nothing more of them.
_LOOKS: Final[Mapping[str, Sequence[Zero]]] = dict.fromkeys(
    ("newfstatat", "stat", "fstatat64", "stat64", "statx"), ()
)


class Unconfined(Exception):
    """The kernel refused, or a library is missing: the process must not go on."""


class Confinement:
    """Gives up everything, for good, in two steps."""

    def __init__(self, parent: int, *, waits: bool = False) -> None:
        """The first step: give up all but making connections. `parent` is the pid that started this
        process. `waits`: it waits for readers.

        Everything that it needs has been imported and loaded by now. Raises :class:`Unconfined`.
        """
        try:
            self._filter = Filter({**_CALLS, **_LOOKS} if waits else _CALLS)
            _give_up_rights(parent)
        except OSError as error:
            raise Unconfined(str(error)) from None

    def seal(self) -> None:
        """The second step: keep nothing but talking over open descriptors.

        Raises :class:`Unconfined`.
        """
        try:
            self._filter.load()
        except OSError as error:
            raise Unconfined(str(error)) from None


def _give_up_rights(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to a whole group; only the service obeys
    raise_lock_limit()
    if may_lock_without_capability():
        lock_memory()
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _close_files(libc)
    _drop_capabilities(libc)
    leave_no_core()
    _prctl(libc, _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    if libc.prctl(option, *arguments) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _close_files(libc: ctypes.CDLL) -> None:
    """Open no file any more, where the kernel has Landlock (5.13, and not switched off)."""
    syscall = libc.syscall
    syscall.restype = ctypes.c_long
    version = syscall(
        ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    if version < 1:
        return
    rights = struct.pack("=Q", _LANDLOCK_RIGHTS.get(version, _LANDLOCK_RIGHTS_3))
    rules = syscall(
        ctypes.c_long(_SYS_LANDLOCK_CREATE_RULESET),
        rights,
        ctypes.c_size_t(len(rights)),
        ctypes.c_uint32(0),
    )
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        if syscall(ctypes.c_long(_SYS_LANDLOCK_RESTRICT_SELF), rules, ctypes.c_uint32(0)) != 0:
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(rules)
