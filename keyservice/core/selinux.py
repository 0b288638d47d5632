# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether SELinux confines the keyservice.

It does not if the product's module was not loaded. If SELinux enforces all the same, it keeps login
programs from the keyservice's socket.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_CONTEXT = re.compile(r"\w+:\w+:(\w+)(:[\w.,:-]+)?")


def domain(label: Path = Path("/proc/self/attr/current")) -> str | None:
    """The type that this process runs in; None where the host has no SELinux.

    On such a host the file has another security module's label, cannot be read, or is not there.
    """
    with suppress(OSError, UnicodeError):
        if found := _CONTEXT.fullmatch(label.read_bytes().rstrip(b"\0\n").decode("ascii")):
            return found[1]
    return None
