# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The watcher: the process that sleeps in pcscd until a reader or a card comes or goes.

It tells the service all readers, at the start and at each change, and when pcscd has gone; it
wakes up for little else. It lives as long as its one connection to pcscd.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable

from keyservice.core.errors import UkeyError
from keyservice.transport.pcsc import Context
from keyservice.transport.readers import changes
from keyservice.ukeys.confine import Confinement
from keyservice.ukeys.endings import Ending, end

from . import reports
from .arrival import Arrival


def await_pcscd(channel: socket.socket, context: Context) -> None:
    """Wait until there is a connection; the service is told first that there is none.

    Raises :class:`ConnectionError` when the service has gone.
    """
    if _connects(context):
        return
    channel.send(reports.build_no_pcscd())
    with contextlib.closing(Arrival(channel)) as arrival:
        while not _connects(context):
            arrival.sleep()


def _connects(context: Context) -> bool:
    with contextlib.suppress(UkeyError):
        context.handle()
        return True
    return False


def watch(channel: socket.socket, context: Context) -> None:
    """Report until pcscd has gone. Raises :class:`ConnectionError` when the service has gone."""
    told: bytearray | None = None
    try:
        for readers in changes(context):
            message = reports.build_readers(readers)
            if message != told:
                channel.send(message)
                told = message
    except UkeyError:
        channel.send(reports.build_no_pcscd())


def work(channel: socket.socket, context: Context, seal: Callable[[], None]) -> Ending:
    """All that the watcher does, and how it ends. `seal` gives up what it no longer needs."""
    with contextlib.suppress(ConnectionError):
        await_pcscd(channel, context)
        seal()
        watch(channel, context)
        return Ending.NO_PCSCD
    return Ending.SERVICE_GONE


def main() -> None:
    """``watcher PARENT FD``: see :class:`keyservice.ukeys.child.Child`."""
    parent, descriptor = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    context = Context()
    _connects(context)  # loads what a confined process could not load
    end(work(channel, context, Confinement(int(parent), waits=True).seal))
