# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A device worker: the process that talks to one reader, and is killed when that takes too long.

Its whole world is a socket to the service and one to pcscd. It serves one request at a time, and
ends when the service goes away. A bug in it ends it too; the service starts another.
"""

from __future__ import annotations

import contextlib
import socket
import sys

from keyservice.core.errors import ReaderAbsent, UkeyError, UkeyRemoved
from keyservice.core.secret import wipe
from keyservice.crypto import sm4
from keyservice.transport.pcsc import Card, Context

from . import wire
from .confine import confine
from .fields import MESSAGE_MAX
from .gmt0017 import Gmt0017
from .registry import recognise
from .wire import Op, Request


class Worker:
    """One reader's ukey, and what is asked of it."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._ukey: Gmt0017 | None = None

    def answer(self, message: bytearray) -> bytearray:
        """Do what `message` asks; the message to send back. `message` is wiped."""
        request = wire.parse_request(message)
        wipe(message)
        try:
            return self._do(request)
        except UkeyError as error:
            return wire.build_failed(error, self._ukey.seen_pin if self._ukey else None)
        finally:
            request.wipe()

    def _do(self, request: Request) -> bytearray:
        if request.op is Op.PROBE:
            self._ukey = None
            return wire.build_done(info=self._recognised().info())
        ukey = self._recognised()
        if ukey.info().serial != request.serial:
            raise UkeyRemoved(serial=request.serial)
        ukey.quirks = request.quirks
        return self._operate(ukey, request)

    def _recognised(self) -> Gmt0017:
        if self._ukey is None:
            try:
                self._ukey = recognise(self._card)
            finally:
                if self._ukey is None:  # somebody else's card: not ours to hold
                    self._card.close()
        return self._ukey

    def _operate(self, ukey: Gmt0017, request: Request) -> bytearray:
        ref, pin, keep = request.ref, request.pin, request.keep
        match request.op:
            case Op.APPLICATIONS:
                return wire.build_done(applications=ukey.applications())
            case Op.CONTAINERS:
                return wire.build_done(containers=ukey.containers())
            case Op.PUBLIC_KEY:
                return wire.build_done(key=ukey.public_key(ref))
            case Op.PIN_STATE:
                return wire.build_done(pin_state=ukey.pin_state(ref, admin=request.admin))
            case Op.VERIFY_PIN:
                return wire.build_done(pin_state=ukey.verify_pin(ref, pin, keep))
            case Op.SIGN:
                signature = ukey.sign(ref, pin, request.digest, keep)
                return wire.build_done(signature=signature, pin_state=ukey.seen_pin)
            case Op.CHANGE_PIN:
                ukey.change_pin(ref, pin, request.new_pin, keep)
                return wire.build_done(pin_state=ukey.seen_pin)
            case Op.UNBLOCK_PIN:
                ukey.unblock_pin(ref, pin, request.new_pin)
                return wire.build_done(pin_state=ukey.seen_pin)
            case Op.GENERATE:
                key = ukey.generate(ref, pin, keep)
                return wire.build_done(key=key, pin_state=ukey.seen_pin)
            case Op.PROBE:
                raise AssertionError("is answered before")


def serve(channel: socket.socket, worker: Worker) -> None:
    """Answer requests until the service closes its end."""
    buffer = bytearray(MESSAGE_MAX)
    while length := channel.recv_into(buffer):
        message = buffer[:length]
        buffer[:length] = bytes(length)
        channel.send(worker.answer(message))


def main() -> None:
    """``worker PARENT FD READER``: see :class:`keyservice.ukeys.child.Child`."""
    parent, descriptor, reader = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    context = Context()
    with contextlib.suppress(ReaderAbsent):
        context.handle()  # loads what a confined process could not
    sm4.prepare()
    confine(int(parent))
    with contextlib.suppress(ConnectionError):
        serve(channel, Worker(Card(reader, context)))
