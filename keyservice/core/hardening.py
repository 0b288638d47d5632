# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a process that will hold PINs does first: it leaves no copy of its memory anywhere."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def harden() -> None:
    """No core dumps, no ptrace by the same uid, no swapping, files for their owner only."""
    os.umask(0o077)
    leave_no_core()
    raise_lock_limit()
    # Needs CAP_IPC_LOCK or a limit that a container may not have; the PIN is short-lived anyway.
    if (error := lock_memory()) is not None:
        import logging  # here: a device worker does without

        logging.getLogger(__name__).info("memory may be swapped: mlockall: %s", os.strerror(error))


def leave_no_core() -> None:
    """No core dumps, no ptrace by the same uid."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def lock_memory() -> int | None:
    """Keep this process's memory out of swap, also what it gets later. None, or the error's number.

    It does not survive an exec: each process does it for itself.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return ctypes.get_errno()
    return None


def may_lock_without_capability() -> bool:
    """Whether a process that locked its memory gets more of it once it has no capabilities."""
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def raise_lock_limit() -> None:
    """Raise it for this process and its children, if the process may.

    Each process does it for itself: where SELinux changes the domain, the kernel sets a limit back
    to what the first process had, unless the policy says otherwise.
    """
    if not may_lock_without_capability():
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
