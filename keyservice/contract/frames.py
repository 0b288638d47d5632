# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The frames of the sockets (``docs/socket-protocol.md``): codec only, no input or output.

A frame is ``version u8 ‖ kind u8 ‖ length u16 BE ≤ 4096 ‖ body``; a body is a run of fields
``tag u8 ‖ length u16 BE ‖ value``. Unknown tags pass, so that either side may be newer; a field
twice, a length that does not fit, or bytes left over are errors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import IntEnum

from .names import ANSWER_MAX, FRAME_MAX, SESSION_ID_BYTES, Code, ErrorName, StepKind, WaitFor
from .steps import Detail, Error, Info, Prompt, Step, Verdict, Wait

VERSION = 1
HEADER = struct.Struct(">BBH")
_FIELD = struct.Struct(">BH")


class Kind(IntEnum):
    """Frame kinds beside the numbers of the operations, 0x01 to 0x0F, which begin a session."""

    ANSWER = 0x10
    CANCEL = 0x11
    STEP = 0x81
    REFUSED = 0x82
    ACCEPTED = 0x83


class Tag(IntEnum):
    """Field tags. Text is UTF-8; numbers are unsigned, big-endian."""

    USER = 0x01
    SERVICE = 0x02  # PAM_SERVICE
    TTY = 0x03  # PAM_TTY
    RHOST = 0x04  # PAM_RHOST
    LANG = 0x05  # the locale's name, a wish
    FLAGS = 0x06  # u16, names.Flag
    TIMEOUT = 0x07  # u16, seconds
    SERIAL = 0x08
    APPLICATION = 0x09
    CONTAINER = 0x0A
    AUTH_INFO = 0x0B  # sshd's SSH_AUTH_INFO_0
    PUBLIC_KEY = 0x0C  # a line of a public key file of ssh's
    KEY = 0x0D  # the fingerprint of a key
    LABEL = 0x0E
    SESSION = 0x10  # 16 bytes
    ANSWER = 0x11
    STEP = 0x20  # u8, names.StepKind
    TEXT = 0x21
    ECHO = 0x22  # u8, 0 or 1
    FOR = 0x23  # names.WaitFor
    CODE = 0x24  # names.Code
    ERROR = 0x25  # names.ErrorName
    DETAIL = 0x26  # a JSON object


class FrameError(ValueError):
    """A frame or a field is malformed. Its text never quotes the content."""


def parse_header(header: bytes | bytearray) -> tuple[int, int]:
    """(kind, length of the body in bytes) from the 4 bytes of a header."""
    version, kind, length = HEADER.unpack(header)
    if version != VERSION:
        raise FrameError(f"frame version {version}, not {VERSION}")
    if length > FRAME_MAX:
        raise FrameError(f"a frame of {length} bytes, over {FRAME_MAX}")
    return kind, length


def build(kind: int, fields: Mapping[int, bytes | bytearray | memoryview]) -> bytearray:
    """One whole frame. It may hold an answer: its sender wipes it.

    The space is allocated at once, since a buffer that grows leaves its old content behind.
    """
    length = sum(_FIELD.size + len(value) for value in fields.values())
    if length > FRAME_MAX:
        raise FrameError(f"a frame of {length} bytes, over {FRAME_MAX}")
    out, at = bytearray(HEADER.size + length), HEADER.size
    HEADER.pack_into(out, 0, VERSION, kind, length)
    for tag, value in fields.items():
        _FIELD.pack_into(out, at, tag, len(value))
        at += _FIELD.size
        out[at : at + len(value)] = value
        at += len(value)
    return out


def parse_fields(body: bytearray | memoryview) -> dict[int, memoryview]:
    """The fields of `body`, each a view into it: no copy of an answer is made."""
    view, at, fields = memoryview(body), 0, dict[int, memoryview]()
    while at < len(body):
        if len(body) - at < _FIELD.size:
            raise FrameError("a field's head is cut off")
        tag, length = _FIELD.unpack_from(body, at)
        at += _FIELD.size
        if len(body) - at < length:
            raise FrameError("a field is cut off")
        if tag in fields:
            raise FrameError(f"field 0x{tag:02x} twice")
        fields[tag] = view[at : at + length]
        at += length
    return fields


def text_of(fields: Mapping[int, memoryview], tag: Tag) -> str:
    """The text of a field, empty where it is absent."""
    try:
        return str(fields.get(tag, b""), "utf-8")
    except UnicodeDecodeError:
        raise FrameError(f"field 0x{tag:02x} is not UTF-8") from None


def number_of(fields: Mapping[int, memoryview], tag: Tag, size: int) -> int:
    """The number in a field of exactly `size` bytes, 0 where it is absent."""
    value = fields.get(tag)
    if value is None:
        return 0
    if len(value) != size:
        raise FrameError(f"field 0x{tag:02x} has {len(value)} bytes, not {size}")
    return int.from_bytes(value, "big")


def session_of(fields: Mapping[int, memoryview]) -> bytes:
    """The 16-byte session id."""
    value = bytes(fields.get(Tag.SESSION, b""))
    if len(value) != SESSION_ID_BYTES:
        raise FrameError(f"a session id has {SESSION_ID_BYTES} bytes")
    return value


def build_step(session: bytes, step: Step) -> bytearray:
    """The STEP frame that carries `step`."""
    fields: dict[int, bytes] = {Tag.SESSION: session, Tag.TEXT: step.text.encode()}
    match step:
        case Info():
            kind = StepKind.INFO
        case Error():
            kind = StepKind.ERROR
        case Prompt():
            kind = StepKind.PROMPT
            fields[Tag.ECHO] = bytes([step.echo])
        case Wait():
            kind = StepKind.WAIT
            fields[Tag.FOR] = step.what.encode()
        case Verdict():
            kind = StepKind.VERDICT
            fields[Tag.CODE] = step.code.encode()
            if step.error is not None:
                fields[Tag.ERROR] = step.error.encode()
            if step.detail:
                fields[Tag.DETAIL] = json.dumps(step.detail).encode()
    fields[Tag.STEP] = bytes([kind])
    return build(Kind.STEP, fields)


def parse_step(body: bytearray | memoryview) -> tuple[bytes, Step]:
    """(session id, step) from the body of a STEP frame."""
    fields = parse_fields(body)
    session, text = session_of(fields), text_of(fields, Tag.TEXT)
    try:
        match StepKind(number_of(fields, Tag.STEP, 1)):
            case StepKind.INFO:
                return session, Info(text)
            case StepKind.ERROR:
                return session, Error(text)
            case StepKind.PROMPT:
                return session, Prompt(text, bool(number_of(fields, Tag.ECHO, 1)))
            case StepKind.WAIT:
                return session, Wait(text, WaitFor(text_of(fields, Tag.FOR)))
            case StepKind.VERDICT:
                error = text_of(fields, Tag.ERROR)
                return session, Verdict(
                    Code(text_of(fields, Tag.CODE)),
                    text,
                    ErrorName(error) if error else None,
                    _detail(text_of(fields, Tag.DETAIL)),
                )
    except ValueError as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError("a step that is not known") from None


def _detail(text: str) -> Detail:
    if not text:
        return {}
    detail = json.loads(text)
    if not isinstance(detail, dict):
        raise FrameError("a detail is a JSON object")
    return detail


def build_refused(name: ErrorName, text: str, detail: Detail | None = None) -> bytearray:
    """The REFUSED frame: nothing was begun, or the answer was not taken.

    `detail`: the reason (``core.reasons``), where it has a name.
    """
    fields: dict[int, bytes] = {Tag.ERROR: name.encode(), Tag.TEXT: text.encode()}
    if detail:
        fields[Tag.DETAIL] = json.dumps(detail).encode()
    return build(Kind.REFUSED, fields)


def parse_refused(body: bytearray | memoryview) -> tuple[ErrorName, str, Detail]:
    """(name, text, detail) from the body of a REFUSED frame. A name that only a newer side knows
    becomes FAILED."""
    fields = parse_fields(body)
    name, text = text_of(fields, Tag.ERROR), text_of(fields, Tag.TEXT)
    known = ErrorName(name) if name in list(ErrorName) else ErrorName.FAILED
    try:
        return known, text, _detail(text_of(fields, Tag.DETAIL))
    except ValueError:
        raise FrameError("a detail is a JSON object") from None


def build_answer(session: bytes, answer: bytes | bytearray | memoryview) -> bytearray:
    """The ANSWER frame. It holds a secret: its sender wipes it, and `answer` too."""
    if len(answer) > ANSWER_MAX:
        raise FrameError(f"an answer has at most {ANSWER_MAX} bytes")
    return build(Kind.ANSWER, {Tag.SESSION: session, Tag.ANSWER: answer})


def parse_answer(body: bytearray | memoryview) -> tuple[bytes, memoryview]:
    """(session id, answer) from the body of an ANSWER frame; the answer is a view into it."""
    fields = parse_fields(body)
    session = session_of(fields)
    answer = fields.get(Tag.ANSWER)
    if answer is None:
        raise FrameError("an ANSWER frame without an answer")
    if len(answer) > ANSWER_MAX:
        raise FrameError(f"an answer has at most {ANSWER_MAX} bytes")
    return session, answer
