# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a child process gives up before it listens to a device.

It stays uid 0, which pcscd's socket may ask for, but without capabilities, without files (Landlock,
where the kernel has it: neither records nor configuration can be opened any more), without core
dumps, unreadable to others, and dead as soon as its parent is.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

# The numbers are the same on all architectures.
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
#: The file rights that version 1, 2 and 3 of Landlock know; the sockets of later ones are needed.
_LANDLOCK_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_LANDLOCK_RIGHTS_3 = (1 << 15) - 1

_CAPABILITY_VERSION_3 = 0x20080522


def confine(parent: int) -> None:
    """Give up all that, for good. `parent` is the pid that started this process.

    Everything that is to be imported or loaded has been by now. Raises :class:`OSError` where the
    kernel refuses what every kernel has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to a whole group, but the service's to obey
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _close_files(libc)
    _drop_capabilities(libc)
    _prctl(libc, _PR_SET_DUMPABLE, 0)
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
