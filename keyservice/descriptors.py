# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""How many files the service has open at most, with every limit reached. It starts with room for
them.

A service without free descriptors would accept nobody, not even at a console.
"""

from __future__ import annotations

import logging
import resource

from keyservice.core import threads
from keyservice.servers.sockets import Limits
from keyservice.ukeys.pcsc.reports import READERS_MAX

#: A connection, and its process until the kernel has been asked who it is.
PER_CONNECTION = 2
#: A look-up: the record or the user database, and the name service's sockets.
PER_LOOK_UP = 8
#: A reader's worker: its socket and process, and those of earlier workers that are still ending.
PER_READER = 8
#: The listeners, the loop, the log, the bus, the watcher, the locks of folders, standard streams.
OTHERS = 64

_LOG = logging.getLogger(__name__)


def needed(limits: Limits | None = None) -> int:
    """The number of files with every connection, look-up and reader that there may be."""
    limits = limits or Limits()
    return (
        PER_CONNECTION * (limits.root + limits.users)
        + PER_LOOK_UP * threads.LIMIT
        + PER_READER * READERS_MAX
        + OTHERS
    )


def provide() -> None:
    """Let this process open so many files, as far as its limits allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = needed() if hard == resource.RLIM_INFINITY else min(needed(), hard)
    if most < needed():
        _LOG.warning(
            "only %d files may be open, all callers at once need %d: LimitNOFILE=", hard, needed()
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
