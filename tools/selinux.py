# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether SELinux lets login programs ask the keyservice. No answer to root's shell tells this."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from keyservice.contract.names import ROOT_SOCKET, SELINUX_ROOT_SOCKET

from .language import N_

#: The text where the module is missing, and what to do then.
MISSING = N_("SELinux enforces, and its module ukey is missing: logins with a ukey fail.")
REMEDY = N_("Load it: /usr/libexec/ukey/selinux-module load")


def enforces(switch: Path = Path("/sys/fs/selinux/enforce")) -> bool:
    """Whether SELinux refuses what its policy does not allow."""
    with suppress(OSError):
        return switch.read_bytes().strip() == b"1"
    return False


def module_missing(socket: str = ROOT_SOCKET) -> bool | None:
    """Whether SELinux enforces, and the socket lacks the type that the module ukey gives it.

    None where that cannot be seen: there is no socket, or the caller may not look at it.
    """
    if not enforces():
        return False
    with suppress(OSError):
        label = os.getxattr(socket, "security.selinux").rstrip(b"\0")
        return f":{SELINUX_ROOT_SOCKET}:".encode() not in label + b":"
    return None
