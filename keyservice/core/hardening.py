# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a process does first that will hold PINs: leave no copy of its memory anywhere."""

from __future__ import annotations

import ctypes
import logging
import os
import resource

_log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def harden() -> None:
    """No core dumps, no ptrace by the same uid, no swapping, files for their owner only."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    # Needs CAP_IPC_LOCK or a limit that a container may not have; the PIN is short-lived anyway.
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        _log.info("memory may be swapped: mlockall: %s", os.strerror(ctypes.get_errno()))
