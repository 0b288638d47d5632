# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The steps of a session: what the keyservice says, one at a time, until a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from .names import Code, ErrorName, WaitFor

#: Facts beside a verdict, for tools: serial, tries left, error facts. Never shown by PAM modules.
Detail = dict[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Info:
    """Show `text`, go on."""

    text: str


@dataclass(frozen=True, slots=True)
class Error:
    """Show `text` as an error, go on. The verdict follows in a step of its own."""

    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Show `text`, read one answer (at most 256 bytes), send it."""

    text: str
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Show `text`, go on: the next step comes when the awaited event has happened."""

    text: str
    what: WaitFor


@dataclass(frozen=True, slots=True)
class Verdict:
    """The session is over. `text` is empty where an ``Error`` step has said it all."""

    code: Code
    text: str = ""
    error: ErrorName | None = None
    detail: Detail = field(default_factory=dict)


Step = Info | Error | Prompt | Wait | Verdict
