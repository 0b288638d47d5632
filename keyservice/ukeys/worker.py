# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A device worker: the process that talks to one reader, and is killed when that takes too long.

It has a socket to the service and one to pcscd, and nothing else. It serves one request at a time,
and ends when the service or pcscd goes away. A bug in it ends it too; the service starts another.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable

from keyservice.core.errors import UkeyError, UkeyRemoved
from keyservice.core.secret import wipe
from keyservice.transport.pcsc import Card, Context

from . import kinds, wire
from .confine import Confinement
from .endings import Ending, end
from .fields import MESSAGE_MAX
from .kind import Ukey, Values
from .wire import Request


class Worker:
    """One reader's ukey, and what is asked of it."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._ukey: Ukey | None = None

    @property
    def useless(self) -> bool:
        """Whether pcscd has gone: this process cannot connect to it again."""
        return self._card.lost

    def answer(self, message: bytearray) -> bytearray:
        """Do what `message` asks; the message to send back. `message` is wiped."""
        request = wire.parse_request(message)
        wipe(message)
        try:
            return self._do(request)
        except UkeyError as error:
            return wire.build_failed(error, self._ukey.seen_pin if self._ukey else None)
        finally:
            request.arguments.wipe()

    def _do(self, request: Request) -> bytearray:
        operation = request.operation
        if operation.on_card is not None:
            try:
                return wire.build_done(operation, operation.on_card(self._card), None)
            finally:  # connected again, a ukey is identified again: it may have been told much
                self._card.release()
        if operation.recognises:
            self._ukey = None
        ukey = self._recognised(request.values)
        if not operation.recognises:
            if ukey.info().serial != request.serial:
                raise UkeyRemoved(serial=request.serial)
            ukey.configure(request.values)
        return wire.build_done(operation, operation.run(ukey, request.arguments), ukey.seen_pin)

    def _recognised(self, values: Values) -> Ukey:
        if self._ukey is None:
            try:
                self._ukey = kinds.recognise(self._card, values)
            finally:
                if self._ukey is None:  # the card is not ours, so we do not hold it
                    self._card.release()
        return self._ukey


def serve(channel: socket.socket, worker: Worker) -> None:
    """Answer requests until the service closes its end, or pcscd has gone."""
    buffer = bytearray(MESSAGE_MAX)
    while not worker.useless and (length := channel.recv_into(buffer)):
        message = buffer[:length]
        buffer[:length] = bytes(length)
        channel.send(worker.answer(message))


def work(
    channel: socket.socket, reader: str, context: Context, confine: Callable[[], None]
) -> Ending:
    """All that a worker does, and how it ends. `confine` gives up what it no longer needs."""
    worker = Worker(Card(reader, context))
    try:
        context.handle()  # the only connection that it will ever have
    except UkeyError:
        return Ending.NO_PCSCD
    kinds.prepare()
    confine()
    with contextlib.suppress(ConnectionError):
        serve(channel, worker)
    return Ending.NO_PCSCD if worker.useless else Ending.SERVICE_GONE


def main() -> None:
    """``worker PARENT FD READER``: see :class:`keyservice.ukeys.child.Child`."""
    parent, descriptor, reader = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    end(work(channel, reader, Context(), lambda: Confinement(int(parent)).seal()))
