# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The exit statuses with which a device worker or the watcher ends by itself."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import NoReturn


class Ending(IntEnum):
    """The known statuses. Any other status means a bug, or a signal."""

    SERVICE_GONE = 0  #: nobody to work for
    NO_PCSCD = 3  #: no connection to pcscd, or none any more; a confined process gets no other
    UNCONFINED = 4  #: it could not give up its rights, and so listened to no device
    UNPREPARED = 5  #: this host's OpenSSL lacks what it needs


def end(ending: Ending) -> NoReturn:
    """End this process at once: its socket to the service does not close before its status is
    settled."""
    os._exit(ending)
