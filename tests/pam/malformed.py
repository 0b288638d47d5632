# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Malformed steps, each with its fault: a module must take them as SERVICE_ERR."""

from __future__ import annotations

from keyservice.contract import frames
from keyservice.contract.frames import Kind, Tag
from keyservice.contract.names import StepKind
from tests.pam.scripted import SESSION

STEP = {Tag.SESSION: SESSION, Tag.STEP: bytes([StepKind.INFO]), Tag.TEXT: b"hello"}


def step(**changes: bytes | None) -> bytes:
    """An info step with other fields in place of its own; None leaves one out."""
    fields = {**STEP, **{Tag[name]: value for name, value in changes.items()}}
    return bytes(frames.build(Kind.STEP, {k: v for k, v in fields.items() if v is not None}))


def body(content: bytes, kind: int = Kind.STEP) -> bytes:
    return frames.HEADER.pack(1, kind, len(content)) + content


VERDICT = bytes([StepKind.VERDICT])
WHOLE = step()[frames.HEADER.size :]
MALFORMED = {
    "another version": b"\x02" + step()[1:],
    "too long a frame": frames.HEADER.pack(1, Kind.STEP, 4097) + bytes(4097),
    "the longest frame": frames.HEADER.pack(1, Kind.STEP, 65535) + bytes(65535),
    "empty": body(b""),
    "no session": step(SESSION=None),
    "a short session": step(SESSION=SESSION[:15]),
    "a long session": step(SESSION=SESSION + b"\0"),
    "no kind": step(STEP=None),
    "kind 0": step(STEP=b"\0"),
    "kind 6": step(STEP=b"\6"),
    "a long kind": step(STEP=b"\0\1"),
    "a text with NUL": step(TEXT=b"a\0b"),
    "a text too long": step(TEXT=bytes([65]) * 1025),
    "echo 2": step(STEP=bytes([StepKind.PROMPT]), ECHO=b"\2"),
    "a long echo": step(STEP=bytes([StepKind.PROMPT]), ECHO=b"\0\0"),
    "a long code": step(STEP=VERDICT, CODE=b"S" * 33),
    "a code with NUL": step(STEP=VERDICT, CODE=b"SUCCESS\0"),
    "a verdict without a code": step(STEP=VERDICT),
    "a code that only begins well": step(STEP=VERDICT, CODE=b"SUCCESSFUL"),
    "a field twice": body(WHOLE + bytes([Tag.TEXT, 0, 0])),
    "an unknown field twice": body(WHOLE + bytes([0x7F, 0, 0]) * 2),
    "a field cut": body(WHOLE[:-1]),
    "a field's head cut": body(WHOLE + b"\x7f\0"),
    "a field past the frame": body(WHOLE + b"\x7f\xff\xff"),
    "a frame of a client's": body(WHOLE, Kind.ANSWER),
    "an acceptance": body(b"", Kind.ACCEPTED),
    "a refusal of nothing": body(b"", Kind.REFUSED),
    "another session's step": step() + step(SESSION=SESSION[::-1]),
    "another session's verdict": step() + step(SESSION=bytes(16), STEP=VERDICT, CODE=b"SUCCESS"),
}
