# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The program that talks to pcscd: a device worker, or the watcher of readers.

An installed product has a file of its own for it: by this file SELinux knows which processes may
talk to devices; see docs/selinux.md.
"""

from __future__ import annotations

import sys

from keyservice.core.errors import CryptoMissing

from .confine import Unconfined
from .endings import Ending, end


def main() -> None:
    """``device-worker worker|watcher PARENT FD [READER]``: see
    :class:`keyservice.ukeys.child.Child`."""
    part = sys.argv.pop(1)
    # Here: each brings only what it needs.
    if part == "worker":
        from .worker import main as run
    elif part == "watcher":
        from .pcsc.watcher import main as run
    else:
        raise SystemExit("device-worker: the keyservice starts this")
    try:
        run()
    except Unconfined as error:
        print(f"cannot be confined: {error}", file=sys.stderr, flush=True)
        end(Ending.UNCONFINED)
    except CryptoMissing as error:
        print(error, file=sys.stderr, flush=True)
        end(Ending.UNPREPARED)
