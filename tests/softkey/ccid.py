# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A USB smart-card reader with the ukey built in: CCID messages (USB-IF, DWG CCID 1.1) in and out.

It exchanges whole APDUs, extended ones too, and speaks T=1: as ukeys do. It knows nothing of how
USB packets travel; that is ``usbip``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum

from .link import ATR
from .loop import Loop, Timer

#: of libccid's list, so that pcscd takes it: a "Watchdata USB Key"
VENDOR, PRODUCT, RELEASE = 0x163C, 0x0417, 0x0100
#: bEndpointAddress without the direction bit
BULK_IN, BULK_OUT, INTERRUPT_IN = 1, 2, 3
INTERFACE_CLASS = 0x0B

_HEADER = struct.Struct("<BIBB3s")
_MESSAGE_MAXIMUM = 3072
_ANSWER_MAXIMUM = _MESSAGE_MAXIMUM - _HEADER.size

#: dwFeatures: all parameters by itself (FE), auto IFSD (400), extended APDUs (40000)
_FEATURES = 0x000400FE
_CLOCK_KHZ, _BITS_PER_SECOND, _IFSD = 4000, 307200, 2038
_FUNCTIONAL = struct.pack(
    "<BBHBBIIIBIIBIIIIIBBHBB",
    *(54, 0x21, 0x0110, 0, 7),  # one slot; 5, 3 and 1.8 V
    *(2, _CLOCK_KHZ, _CLOCK_KHZ, 0, _BITS_PER_SECOND, _BITS_PER_SECOND, 0),  # T=1
    *(_IFSD, 0, 0, _FEATURES, _MESSAGE_MAXIMUM, 0xFF, 0xFF, 0, 0, 1),
)


def _endpoint(address: int, kind: int, size: int, interval: int) -> bytes:
    return struct.pack("<BBBBHB", 7, 5, address, kind, size, interval)


DEVICE = struct.pack(
    "<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 64, VENDOR, PRODUCT, RELEASE, 1, 2, 0, 1
)
_INTERFACE = (
    struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 3, INTERFACE_CLASS, 0, 0, 0)
    + _FUNCTIONAL
    + _endpoint(BULK_OUT, 2, 64, 0)
    + _endpoint(0x80 | BULK_IN, 2, 64, 0)
    + _endpoint(0x80 | INTERRUPT_IN, 3, 8, 32)
)
CONFIGURATION = struct.pack("<BBHBBBBB", 9, 2, 9 + len(_INTERFACE), 1, 1, 0, 0x80, 50) + _INTERFACE
#: English, then those that DEVICE names
STRINGS = ("\u0409", "pam-ukey", "softkey")


class _Ask(IntEnum):
    SET_PARAMETERS = 0x61
    POWER_ON = 0x62
    POWER_OFF = 0x63
    SLOT_STATUS = 0x65
    GET_PARAMETERS = 0x6C
    RESET_PARAMETERS = 0x6D
    TRANSFER = 0x6F


_DATA_BLOCK, _SLOT_STATUS, _PARAMETERS = 0x80, 0x81, 0x82
_SLOT_CHANGED = 0x50
_FAILED, _MORE_TIME = 0x40, 0x80
_CARD_MUTE = 0xFE
_ACTIVE, _INACTIVE, _ABSENT = 0, 1, 2
#: wLevelParameter, and bChainParameter of an answer: a part, and where it stands
_WHOLE, _BEGINS, _ENDS, _BETWEEN, _NEXT = 0, 1, 2, 3, 0x10
#: T=1: Fi/Di, checksum, guard time, waiting times, clock stop, IFSC, NAD
_T1 = bytes((0x11, 0x10, 0x00, 0x4D, 0x00, 0xFE, 0x00))
#: seconds after which a card that still computes asks for more time, again and again
_PATIENCE = 0.5


class Reader:
    """One slot with one card, which may be taken out of it."""

    def __init__(
        self,
        loop: Loop,
        *,
        send: Callable[[int, bytes], None],
        apdu: Callable[[bytes], None],
        power: Callable[[bool], None],
    ) -> None:
        """`send(endpoint, message)` to the computer; :meth:`answer` answers `apdu`; `power` says
        whether the card got power or lost it, and with it all that it remembered."""
        self._loop = loop
        self._send = send
        self._apdu = apdu
        self._power = power
        self._timer: Timer | None = None
        self.card = False
        self.unplugged()

    def unplugged(self) -> None:
        """It was unplugged from USB: forget the whole conversation."""
        self._loop.cancel(self._timer)
        self._timer = None
        self._powered = False
        self._message = self._command = self._rest = b""
        self._waits: int | None = None  #: bSeq of the transfer that the card computes

    def slot_changed(self) -> None:
        """Report that the card went in or out (bit 1), and whether it is in (bit 0)."""
        self._send(INTERRUPT_IN, bytes((_SLOT_CHANGED, 2 | self.card)))

    def set_card(self, inserted: bool) -> None:
        if inserted != self.card:
            self.card, self._powered = inserted, False
            if not inserted and self._waits is not None:
                self._done(b"", error=_CARD_MUTE)
            self.slot_changed()

    def receive(self, packet: bytes) -> None:
        """Bytes of the bulk pipe: messages, whole or in parts."""
        self._message += packet
        while len(self._message) >= _HEADER.size:
            kind, length, _, sequence, parameters = _HEADER.unpack_from(self._message)
            end = _HEADER.size + length
            if len(self._message) < end:
                break
            body, self._message = self._message[_HEADER.size : end], self._message[end:]
            self._handle(kind, sequence, int.from_bytes(parameters[1:], "little"), body)

    def answer(self, answer: bytes) -> None:
        """Take the card's answer to the last APDU."""
        if self._waits is not None:
            self._rest = answer[_ANSWER_MAXIMUM:]
            chain = _BEGINS if self._rest else _WHOLE
            self._done(answer[:_ANSWER_MAXIMUM], chain=chain)

    def _handle(self, kind: int, sequence: int, level: int, body: bytes) -> None:
        if kind == _Ask.POWER_ON:
            if not self.card:
                self._tell(_DATA_BLOCK, sequence, error=_CARD_MUTE)
                return
            self._powered = True
            self._power(True)
            self._tell(_DATA_BLOCK, sequence, ATR)
        elif kind == _Ask.POWER_OFF:
            self._powered = False
            self._power(False)
            self._tell(_SLOT_STATUS, sequence)
        elif kind == _Ask.SLOT_STATUS:
            self._tell(_SLOT_STATUS, sequence)
        elif kind in (_Ask.SET_PARAMETERS, _Ask.GET_PARAMETERS, _Ask.RESET_PARAMETERS):
            self._tell(_PARAMETERS, sequence, _T1, chain=1)  # there: the protocol, T=1
        elif kind == _Ask.TRANSFER:
            self._transfer(sequence, level, body)
        else:
            self._tell(_SLOT_STATUS, sequence, error=0)  # not supported

    def _transfer(self, sequence: int, level: int, part: bytes) -> None:
        if not self._powered:
            self._tell(_DATA_BLOCK, sequence, error=_CARD_MUTE)
        elif level == _NEXT:
            part, self._rest = self._rest[:_ANSWER_MAXIMUM], self._rest[_ANSWER_MAXIMUM:]
            self._tell(_DATA_BLOCK, sequence, part, chain=_BETWEEN if self._rest else _ENDS)
        elif level in (_BEGINS, _BETWEEN):
            self._command += part
            self._tell(_DATA_BLOCK, sequence, chain=_NEXT)
        else:
            command, self._command = self._command + part, b""
            self._waits = sequence
            self._timer = self._loop.later(_PATIENCE, self._more_time)
            self._apdu(command)

    def _more_time(self) -> None:
        assert self._waits is not None
        self._send(BULK_IN, self._packed(_DATA_BLOCK, self._waits, b"", _MORE_TIME, 1, 0))
        self._timer = self._loop.later(_PATIENCE, self._more_time)

    def _done(self, data: bytes, *, chain: int = _WHOLE, error: int | None = None) -> None:
        assert self._waits is not None
        sequence, self._waits = self._waits, None
        self._loop.cancel(self._timer)
        self._timer = None
        self._tell(_DATA_BLOCK, sequence, data, chain=chain, error=error)

    def _tell(
        self,
        kind: int,
        sequence: int,
        data: bytes = b"",
        *,
        chain: int = 0,
        error: int | None = None,
    ) -> None:
        failed = 0 if error is None else _FAILED
        self._send(BULK_IN, self._packed(kind, sequence, data, failed, error or 0, chain))

    def _packed(
        self, kind: int, sequence: int, data: bytes, status: int, error: int, chain: int
    ) -> bytes:
        icc = _ABSENT if not self.card else _ACTIVE if self._powered else _INACTIVE
        header = _HEADER.pack(kind, len(data), 0, sequence, bytes((status | icc, error, chain)))
        return header + data
