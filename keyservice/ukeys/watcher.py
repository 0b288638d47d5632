# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The watcher: the process that sleeps in pcscd until a reader or a card comes or goes.

It tells the service all readers, at the start and at each change, and when pcscd has gone; it
wakes up for little else.
"""

from __future__ import annotations

import contextlib
import socket
import sys

from keyservice.core.errors import ReaderAbsent, UkeyError
from keyservice.transport.pcsc import Context
from keyservice.transport.readers import changes

from . import reports
from .arrival import Arrival
from .confine import confine


def watch(channel: socket.socket, context: Context) -> None:
    """Report for ever. Raises :class:`ConnectionError` when the service has gone."""
    arrival = Arrival(channel)
    told: bytearray | None = None

    def tell(message: bytearray) -> None:
        nonlocal told
        if message != told:
            channel.send(message)
            told = message

    while True:
        try:
            for readers in changes(context):
                arrival.reset()
                tell(reports.build_readers(readers))
        except UkeyError:
            context.close()
            tell(reports.build_no_pcscd())
            arrival.sleep()


def main() -> None:
    """``watcher PARENT FD``: see :class:`keyservice.ukeys.child.Child`."""
    parent, descriptor = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    context = Context()
    with contextlib.suppress(ReaderAbsent):
        context.handle()  # loads what a confined process could not
    confine(int(parent))
    with contextlib.suppress(ConnectionError):
        watch(channel, context)
