# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands and answers of ISO/IEC 7816-4 over one call: bytes in, (bytes, SW) out.

Nothing here logs, and no error text quotes a command's or an answer's body: some carry PINs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from keyservice.core.errors import UkeyFailed
from keyservice.core.secret import wipe

#: Bytes of answer that one command may bring in, GET RESPONSE included. The longest expected is a
#: list of names.
RESPONSE_MAX = 4096

_GET_RESPONSE = 0xC0  # ISO/IEC 7816-4, 11.5.1


class SW(IntEnum):
    """Status words (GM/T 0017-2012, as implementations speak it). Others print as SW_xxxx."""

    OK = 0x9000
    PIN_WRONG = 0x63C0  #: the low digit says how many tries are left
    WRITE_FAILED = 0x6581
    WRONG_LENGTH = 0x6700
    NOT_LOGGED_IN = 0x6982
    LOCKED = 0x6983
    NO_CHALLENGE = 0x6984
    CONDITIONS = 0x6985
    NOT_ALLOWED = 0x6986
    BAD_MAC = 0x6988
    APPLICATION_NOT_OPEN = 0x698A
    BAD_DATA = 0x6A80
    NO_FUNCTION = 0x6A81
    NO_SPACE = 0x6A84
    BAD_P1P2 = 0x6A86
    NO_APPLICATION = 0x6A88
    APPLICATION_EXISTS = 0x6A89
    APPLICATION_OPEN = 0x6A8A
    NO_APPLICATION_NAME = 0x6A8B
    NO_CONTAINER = 0x6A91
    BAD_CONTAINER_ID = 0x6A94
    NO_KEY_PAIR = 0x6A95
    NO_CERTIFICATE = 0x6A96
    SIGNATURE_WRONG = 0x6A98
    NO_INSTRUCTION = 0x6D00
    NO_CLASS = 0x6E00
    CONTAINER_EXISTS = 0x6E02

    @classmethod
    def _missing_(cls, value: object) -> SW:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            raise ValueError("a status word has two bytes")
        unknown = int.__new__(cls, value)
        unknown._name_, unknown._value_ = f"SW_{value:04X}", value
        return unknown


class CardError(UkeyFailed):
    """The ukey refused a command. Facts: ins, sw."""

    def __init__(self, ins: int, sw: SW) -> None:
        super().__init__(
            f"The ukey answered command {ins:02X} with {sw:04X}, {sw.name}", ins=ins, sw=sw
        )
        self.ins = ins
        self.sw = sw


class ResponseError(UkeyFailed):
    """An answer's length or content is not what the command brings."""


class Link(Protocol):
    """What carries APDUs: a card in a reader."""

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        """Send `command`; the answer's body and status word.

        Raises errors of :mod:`keyservice.core.errors` when there is no answer.
        """
        ...


def encode(
    cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray = b"", le: int | None = None
) -> bytearray:
    """A command in extended-length form, always: ``CLA INS P1 P2 [00 Lc Lc data] [00] [Le Le]``.

    `le` is None where no answer is expected, and 0 or 65536 where any length is.
    """
    if len(data) > 0xFFFF or (le is not None and not 0 <= le <= 0x10000):
        raise ValueError("a command's data or expected length does not fit its field")
    out = bytearray((cla, ins, p1, p2))
    if data:
        out += b"\0" + len(data).to_bytes(2, "big")
        out += data
    if le is not None:
        if not data:
            out += b"\0"
        out += (le & 0xFFFF).to_bytes(2, "big")
    return out


class Commands:
    """The commands of one card application, over `link`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def send(
        self,
        cla: int,
        ins: int,
        p1: int,
        p2: int,
        data: bytes | bytearray = b"",
        *,
        le: int | None = None,
    ) -> bytes:
        """The answer's body where the card says 9000; :class:`CardError` where it does not."""
        body, sw = self.exchange(cla, ins, p1, p2, data, le=le)
        if sw != SW.OK:
            raise CardError(ins, sw)
        return body

    def exchange(
        self,
        cla: int,
        ins: int,
        p1: int,
        p2: int,
        data: bytes | bytearray = b"",
        *,
        le: int | None = None,
    ) -> tuple[bytes, SW]:
        """The answer's body, at most 4096 bytes, and its status word, whatever that is.

        6CXX sends the command once more with that Le, if it had one: a command without (every PIN
        command) is never sent twice, and brings no data. 61XX fetches the rest by GET RESPONSE,
        always a short one.
        """
        body, sw = self._transmit(cla, ins, p1, p2, data, le)
        if sw >> 8 == 0x6C and le is not None:
            body, sw = self._transmit(cla, ins, p1, p2, data, sw & 0xFF or 0x100)
        if le is None and (body or sw >> 8 == 0x61):
            raise ResponseError(f"Command {ins:02X} brings data that it should not")
        if sw >> 8 != 0x61:
            return body, sw
        whole = bytearray(body)
        while sw >> 8 == 0x61:
            body, sw = self._pass(bytearray((0x00, _GET_RESPONSE, 0, 0, sw & 0xFF)))
            whole += body
            if len(whole) > RESPONSE_MAX or not body:
                raise ResponseError(f"The answer has more than {RESPONSE_MAX} bytes")
        return bytes(whole), sw

    def _transmit(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray, le: int | None
    ) -> tuple[bytes, SW]:
        return self._pass(encode(cla, ins, p1, p2, data, le))

    def _pass(self, command: bytearray) -> tuple[bytes, SW]:
        try:
            body, sw = self._link.transmit(command)
        finally:
            wipe(command)
        if len(body) > RESPONSE_MAX:
            raise ResponseError(f"The answer has more than {RESPONSE_MAX} bytes")
        return body, SW(sw)
