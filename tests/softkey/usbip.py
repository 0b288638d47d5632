# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey as a USB device for another computer, or for a virtual one: a USB/IP server.

There, ``modprobe vhci-hcd; usbip --tcp-port PORT attach -r HOST -b 1-1`` plugs it in. The protocol
is the Linux kernel's (Documentation/usb/usbip_protocol.rst). It has no authentication: loopback.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable

from . import ccid
from .loop import IN, Loop, Timer

BUS = b"1-1"

_VERSION = 0x0111
_ASK_LIST, _ASK_IMPORT = 0x8005, 0x8003
_TELL_LIST, _TELL_IMPORT = 0x0005, 0x0003
_OPERATION = struct.Struct(">HHI")
_BUS_BYTES = 32
_SUBMIT, _UNLINK, _SUBMITTED, _UNLINKED = 1, 2, 3, 4
_COMMAND = struct.Struct(">IIIIIIIIII8s")
_SUBMITTED_HEADER = struct.Struct(">IIIIIiIIII8x")
_UNLINKED_HEADER = struct.Struct(">IIIIIi24x")
_STALLED, _RESET = -32, -104  # -EPIPE, -ECONNRESET
_FULL_SPEED = 2
#: libccid asks for a whole extended answer and some at once
_TRANSFER_MAXIMUM = 1 << 17

_DEVICE_INFO = (
    b"/sys/devices/softkey/usb1/1-1".ljust(256, b"\0")
    + BUS.ljust(_BUS_BYTES, b"\0")
    + struct.pack(">IIIHHH", 1, 2, _FULL_SPEED, ccid.VENDOR, ccid.PRODUCT, ccid.RELEASE)
    + bytes((0, 0, 0, 1, 1, 1))  # class of the device; configuration, of how many; interfaces
)
_INTERFACE_INFO = bytes((ccid.INTERFACE_CLASS, 0, 0, 0))

_STANDARD_IN, _INTERFACE_IN, _CLASS_IN = 0x80, 0x81, 0xA1
_GET_STATUS, _GET_DESCRIPTOR, _GET_CONFIGURATION, _GET_INTERFACE = 0, 6, 8, 10
_DEVICE, _CONFIGURATION, _STRING = 1, 2, 3


class Usbip:
    """Steered like ``link.Link``, and plugged and unplugged as a whole."""

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        *,
        apdu: Callable[[bytes], None],
        reset: Callable[[], None],
        seen: Callable[[], None],
    ) -> None:
        self.address = address
        self.seen = False  #: whether a computer has given it power since it was inserted
        self.connected_at = 0.0
        self.plugged = True
        self._loop = loop
        self._reset = reset
        self._on_seen = seen
        self._answer: Timer | None = None
        self._reader = ccid.Reader(loop, send=self._from_reader, apdu=apdu, power=self._power)
        self._listener = socket.create_server(address)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), IN, self._accept)
        #: the computers that ask; the one that has it is `_sock`
        self._guests: dict[socket.socket, bytes] = {}
        self._forget()

    @property
    def inserted(self) -> bool:
        return self._reader.card

    def insert(self) -> None:
        """The card into its reader, which is one with it: for most tests, once and for all."""
        self._reader.set_card(True)

    def remove(self) -> None:
        self._loop.cancel(self._answer)
        self._lose_power()
        self._reader.set_card(False)

    def plug(self) -> None:
        """The next computer that asks for it gets it."""
        self.plugged = True

    def unplug(self) -> None:
        """Pull it out of its USB port: the answer under way is lost."""
        self.plugged = False
        if self._sock is not None:
            self._close(self._sock)

    def answer(self, answer: bytes, delay: float = 0.0) -> None:
        if delay > 0:
            self._answer = self._loop.later(delay, lambda: self._reader.answer(answer))
        else:
            self._reader.answer(answer)

    def _power(self, on: bool) -> None:
        self._lose_power()
        if on:
            self.seen = True
            self._on_seen()

    def _lose_power(self) -> None:
        self.seen = False
        self._reset()

    # -- connections

    def _forget(self) -> None:
        self._sock: socket.socket | None = None
        self._buffer = b""
        self._greeted = False  #: whether this computer was told of the card in the slot
        self._asked: dict[int, deque[tuple[int, int]]] = {
            ccid.BULK_IN: deque(),
            ccid.INTERRUPT_IN: deque(),
        }
        self._ready: dict[int, deque[bytes]] = {pipe: deque() for pipe in self._asked}

    def _accept(self) -> None:
        try:
            guest, _ = self._listener.accept()
        except OSError:
            return
        guest.setblocking(False)
        guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._guests[guest] = b""
        self._loop.watch(guest.fileno(), IN, lambda: self._readable(guest))

    def _readable(self, guest: socket.socket) -> None:
        try:
            chunk = guest.recv(_TRANSFER_MAXIMUM)
        except OSError:
            chunk = b""
        if not chunk:
            self._close(guest)
        elif guest is self._sock:
            self._buffer += chunk
            self._commands()
        else:
            self._guests[guest] += chunk
            self._operation(guest)

    def _close(self, guest: socket.socket) -> None:
        self._guests.pop(guest, None)
        self._loop.unwatch(guest.fileno())
        guest.close()
        if guest is self._sock:
            self._forget()
            self._loop.cancel(self._answer)
            self._reader.unplugged()
            self._lose_power()

    def _write(self, guest: socket.socket, data: bytes) -> None:
        try:
            # What is sent is far smaller than a socket's buffer.
            if guest.send(data) != len(data):
                self._close(guest)
        except OSError:
            self._close(guest)

    # -- the computers that want it

    def _operation(self, guest: socket.socket) -> None:
        asked = self._guests[guest]
        if len(asked) < _OPERATION.size:
            return
        _, code, _ = _OPERATION.unpack_from(asked)
        free = self.plugged and self._sock is None
        if code == _ASK_LIST:
            told = _OPERATION.pack(_VERSION, _TELL_LIST, 0) + struct.pack(">I", free)
            self._write(guest, told + (_DEVICE_INFO + _INTERFACE_INFO if free else b""))
        elif code != _ASK_IMPORT:
            self._close(guest)
        elif len(asked) >= _OPERATION.size + _BUS_BYTES:
            wanted = asked[_OPERATION.size :][:_BUS_BYTES].rstrip(b"\0")
            if not free or wanted != BUS:
                self._write(guest, _OPERATION.pack(_VERSION, _TELL_IMPORT, 1))
                return
            del self._guests[guest]
            self._sock = guest
            self.connected_at = time.monotonic()
            self._write(guest, _OPERATION.pack(_VERSION, _TELL_IMPORT, 0) + _DEVICE_INFO)

    # -- the one that has it

    def _commands(self) -> None:
        sock = self._sock
        while self._sock is sock and len(self._buffer) >= _COMMAND.size:
            fields = _COMMAND.unpack_from(self._buffer)
            command, sequence, _, inward, pipe, unlinked, length, *_, setup = fields
            end = _COMMAND.size
            if command == _SUBMIT and not inward:
                end += length
            if length > _TRANSFER_MAXIMUM or command not in (_SUBMIT, _UNLINK):
                assert sock is not None
                self._close(sock)
                return
            if len(self._buffer) < end:
                return
            data, self._buffer = self._buffer[_COMMAND.size : end], self._buffer[end:]
            if command == _UNLINK:
                self._unlink(sequence, unlinked)
            elif pipe == 0:
                self._control(sequence, setup, data, inward=bool(inward))
            elif not inward:
                self._done(sequence, b"", len(data))
                self._reader.receive(data)
            elif pipe in self._asked:
                self._asked[pipe].append((sequence, length))
                if pipe == ccid.INTERRUPT_IN and not self._greeted:
                    self._greeted = True
                    self._reader.slot_changed()
                self._pump(pipe)

    def _done(self, sequence: int, data: bytes, length: int | None = None, status: int = 0) -> None:
        if self._sock is not None:
            actual = len(data) if length is None else length
            header = _SUBMITTED_HEADER.pack(_SUBMITTED, sequence, 0, 0, 0, status, actual, 0, 0, 0)
            self._write(self._sock, header + data)

    def _unlink(self, sequence: int, unlinked: int) -> None:
        status = 0
        for asked in self._asked.values():
            for entry in [entry for entry in asked if entry[0] == unlinked]:
                asked.remove(entry)
                status = _RESET
        if self._sock is not None:
            self._write(self._sock, _UNLINKED_HEADER.pack(_UNLINKED, sequence, 0, 0, 0, status))

    def _from_reader(self, pipe: int, message: bytes) -> None:
        if self._sock is not None:
            self._ready[pipe].append(message)
            self._pump(pipe)

    def _pump(self, pipe: int) -> None:
        """Give ready messages to the transfers that were asked for; a long one takes several."""
        asked, ready = self._asked[pipe], self._ready[pipe]
        while asked and ready:
            sequence, length = asked.popleft()
            message = ready.popleft()
            if len(message) > length:
                ready.appendleft(message[length:])
            self._done(sequence, message[:length])

    def _control(self, sequence: int, setup: bytes, data: bytes, *, inward: bool) -> None:
        kind, request, value, _, length = struct.unpack("<BBHHH", setup)
        if not inward:  # SET_CONFIGURATION, CLEAR_FEATURE, CCID's ABORT: there is nothing to do
            self._done(sequence, b"", len(data))
            return
        answer: bytes | None = None
        if kind == _STANDARD_IN and request == _GET_DESCRIPTOR:
            answer = _descriptor(value >> 8, value & 0xFF)
        elif kind in (_STANDARD_IN, _INTERFACE_IN, 0x82) and request == _GET_STATUS:
            answer = b"\0\0"
        elif (kind, request) == (_STANDARD_IN, _GET_CONFIGURATION):
            answer = b"\1"
        elif (kind, request) == (_INTERFACE_IN, _GET_INTERFACE):
            answer = b"\0"
        elif kind == _CLASS_IN:  # lists of clocks and rates: the descriptor says all
            answer = b""
        if answer is None:
            self._done(sequence, b"", status=_STALLED)
        else:
            self._done(sequence, answer[:length])


def _descriptor(kind: int, index: int) -> bytes | None:
    if kind == _DEVICE:
        return ccid.DEVICE
    if kind == _CONFIGURATION:
        return ccid.CONFIGURATION
    if kind == _STRING and index < len(ccid.STRINGS):
        text = ccid.STRINGS[index].encode("utf-16-le")
        return bytes((2 + len(text), _STRING)) + text
    return None
