# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands and answers of ISO/IEC 7816-4 over one call: bytes in, (bytes, SW) out.

Nothing here logs, and no error text quotes a command's or an answer's body: some carry PINs.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Protocol

from keyservice.core.errors import UkeyFailed
from keyservice.core.secret import wipe

#: Bytes of answer that one command may bring in, GET RESPONSE included. The longest expected is a
#: list of names.
RESPONSE_MAX = 4096

#: Bytes of data in a short command.
SHORT_MAX = 255

_GET_RESPONSE = 0xC0  # ISO/IEC 7816-4, 11.5.1
#: SW1 of an error (5.6): such an answer has a status word and nothing else.
_ERRORS = range(0x64, 0x70)
_CHAINED = 0x10
#: None where no answer is expected.
_Le = int | None


class SW(IntEnum):
    """Status words of ISO/IEC 7816-4, 5.6, those that cards for people answer with."""

    OK = 0x9000
    PIN_WRONG = 0x63C0  #: the low digit says how many tries are left
    MEMORY_FAILED = 0x6581
    WRONG_LENGTH = 0x6700
    NOT_VERIFIED = 0x6982
    PIN_BLOCKED = 0x6983
    NO_CHALLENGE = 0x6984
    CONDITIONS = 0x6985
    NOT_ALLOWED = 0x6986
    BAD_DATA = 0x6A80
    NO_FUNCTION = 0x6A81
    NO_FILE = 0x6A82
    NO_SPACE = 0x6A84
    BAD_P1P2 = 0x6A86
    NO_DATA = 0x6A88
    NO_INSTRUCTION = 0x6D00
    NO_CLASS = 0x6E00


class CardError(UkeyFailed):
    """The ukey refused a command. Facts: ins, sw."""

    def __init__(self, ins: int, sw: int, name: str = "") -> None:
        told = f"{sw:04X}, {name or f'SW_{sw:04X}'}"
        super().__init__(f"The ukey answered command {ins:02X} with {told}", ins=ins, sw=sw)
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


def encode_short(
    cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray = b"", le: int | None = None
) -> bytearray:
    """A command in short form: ``CLA INS P1 P2 [Lc data] [Le]``, at most 255 bytes of data.

    `le` is None where no answer is expected, and 0 or 256 where any length is.
    """
    if len(data) > SHORT_MAX or (le is not None and not 0 <= le <= SHORT_MAX + 1):
        raise ValueError("a command's data or expected length does not fit its field")
    out = bytearray((cla, ins, p1, p2))
    if data:
        out.append(len(data))
        out += data
    if le is not None:
        out.append(le & 0xFF)
    return out


class Form(Enum):
    """How commands are spelled."""

    EXTENDED = "extended"
    #: Data over 255 bytes goes in a chain (5.3.3): all parts but the last have this bit of CLA.
    SHORT = "short"


class Commands:
    """The commands of one card application, over `link`."""

    def __init__(self, link: Link, form: Form = Form.EXTENDED) -> None:
        self._link = link
        self._form = form

    def send(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray = b"", le: _Le = None
    ) -> bytes:
        """The answer's body where the card says 9000; :class:`CardError` where it does not."""
        body, sw = self.exchange(cla, ins, p1, p2, data, le)
        if sw != SW.OK:
            raise CardError(ins, sw, name_of(sw))
        return body

    def exchange(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray = b"", le: _Le = None
    ) -> tuple[bytes, int]:
        """The answer's body, at most 4096 bytes, and its status word, whatever that is.

        After 6CXX the command is sent again with that Le, if it had an Le. A command without Le
        (every PIN command) brings no data and is never sent twice; nor is a chain. After 61XX the
        rest is fetched by GET RESPONSE, always a short one.

        Raises :class:`ResponseError` for what no answer can be. An error that brings data is none:
        whatever made it, its status word is not believed.
        """
        chained = self._form is Form.SHORT and len(data) > SHORT_MAX
        if chained:
            data, refusal = self._send_all_but_the_last(cla, ins, p1, p2, data)
            if refusal is not None:
                return b"", refusal
        body, sw = self._transmit(cla, ins, p1, p2, data, le)
        if sw >> 8 == 0x6C and le is not None and not chained:
            body, sw = self._transmit(cla, ins, p1, p2, data, sw & 0xFF or 0x100)
        if le is None and (body or sw >> 8 == 0x61):
            raise ResponseError(f"Command {ins:02X} brings data that it should not")
        if sw >> 8 != 0x61:
            return body, sw
        whole = bytearray(body)
        while sw >> 8 == 0x61:
            body, sw = self._pass(bytearray((0x00, _GET_RESPONSE, 0, 0, sw & 0xFF)))
            if not body:
                raise ResponseError("The rest of an answer did not come")
            whole += body
            if len(whole) > RESPONSE_MAX:
                raise ResponseError(f"The answer has more than {RESPONSE_MAX} bytes")
        return bytes(whole), sw

    def _send_all_but_the_last(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray
    ) -> tuple[bytes | bytearray, int | None]:
        """What is left to send, and the status word by which the card refused a part."""
        while len(data) > SHORT_MAX:
            part = data[:SHORT_MAX]
            body, sw = self._pass(encode_short(cla | _CHAINED, ins, p1, p2, part))
            if body:
                raise ResponseError(f"A part of command {ins:02X} brings data that it should not")
            if sw != SW.OK:
                return b"", sw
            data = data[SHORT_MAX:]
        return data, None

    def _transmit(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes | bytearray, le: _Le
    ) -> tuple[bytes, int]:
        build = encode if self._form is Form.EXTENDED else encode_short
        return self._pass(build(cla, ins, p1, p2, data, le))

    def _pass(self, command: bytearray) -> tuple[bytes, int]:
        try:
            body, sw = self._link.transmit(command)
        finally:
            wipe(command)
        if len(body) > RESPONSE_MAX:
            raise ResponseError(f"The answer has more than {RESPONSE_MAX} bytes")
        if body and sw >> 8 in _ERRORS:
            raise ResponseError(f"The answer {sw:04X} brings data that it should not")
        return body, sw


def name_of(sw: int) -> str:
    """The status word's name, empty where it is none of :class:`SW`."""
    return next((word.name for word in SW if word == sw), "")
