# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The toy as a device: it signs backwards, once, for whoever knows the PIN."""

from __future__ import annotations

from tests.seams.toy_kind import CLEAR, HELLO, KEY, MAXIMUM, SERIAL_BYTES, SIGN, TRIES, VERIFY
from tests.softkey.misbehave import Reply

PIN, WRONG, PUBLIC = b"1234", b"4321", bytes(range(16))
_OK = b"\x90\x00"


class ToyCard:
    """See :class:`tests.inprocess.pcscd.Card`."""

    def __init__(self, serial: str = "TOY1") -> None:
        self.serial, self.left, self.verified = serial, MAXIMUM, False

    def reset(self) -> None:
        self.verified = False

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        return Reply(self.answer(apdu))

    def answer(self, apdu: bytes) -> bytes:
        ins, data = apdu[1], apdu[7:]
        match ins:
            case _ if ins == HELLO:
                return self.serial.encode().ljust(SERIAL_BYTES, b"\0") + _OK
            case _ if ins == TRIES:
                return bytes((self.left,)) + _OK
            case _ if ins == KEY:
                return PUBLIC + _OK
            case _ if ins == VERIFY and not self.left:
                return b"\x69\x83"
            case _ if ins == VERIFY:
                self.verified = data == PIN
                self.left = MAXIMUM if self.verified else self.left - 1
                return _OK if self.verified else bytes((0x63, 0xC0 | self.left))
            case _ if ins == SIGN and self.verified:
                return data[:-2][::-1] + _OK
            case _ if ins == CLEAR:
                self.verified = False
                return _OK
        return b"\x6d\x00"
