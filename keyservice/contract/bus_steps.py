# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Steps as the bus carries them: ``(s kind, s text, a{sv} detail)``.

A variant is a pair (signature, value) here, as jeepney has it; the service turns it into its own
library's. The detail of a prompt is ``echo`` (b), of a wait ``for`` (s), of a verdict ``code``
(s), ``error`` (s, absent where there is none) and ``facts`` (a{sv}).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import Code, ErrorName, WaitFor
from .steps import Detail, Error, Info, Prompt, Step, Verdict, Wait

#: (signature, value)
Variant = tuple[str, Any]


def variant_of(value: str | int | bool) -> Variant:
    """A fact as a variant: ``b``, ``x`` (64 bits, signed) or ``s``."""
    if isinstance(value, bool):
        return "b", value
    if isinstance(value, int):
        return "x", value
    if isinstance(value, str):
        return "s", value
    raise TypeError(f"{type(value).__name__} is no fact")


def to_bus(step: Step) -> tuple[str, str, dict[str, Variant]]:
    """(kind, text, detail) of `step`."""
    match step:
        case Info(text):
            return "info", text, {}
        case Error(text):
            return "error", text, {}
        case Prompt(text, echo):
            return "prompt", text, {"echo": ("b", echo)}
        case Wait(text, what):
            return "wait", text, {"for": ("s", what.value)}
        case Verdict(code, text, error, facts):
            detail: dict[str, Variant] = {"code": ("s", code.value)}
            if error is not None:
                detail["error"] = ("s", error.value)
            detail["facts"] = ("a{sv}", {name: variant_of(each) for name, each in facts.items()})
            return "verdict", text, detail


def from_bus(kind: str, text: str, detail: Mapping[str, Variant]) -> Step:
    """The step that (kind, text, detail) means. Raises :class:`ValueError`."""
    try:
        match kind:
            case "info":
                return Info(text)
            case "error":
                return Error(text)
            case "prompt":
                return Prompt(text, bool(detail["echo"][1]))
            case "wait":
                return Wait(text, WaitFor(detail["for"][1]))
            case "verdict":
                error = detail.get("error")
                return Verdict(
                    Code(detail["code"][1]),
                    text,
                    ErrorName(error[1]) if error else None,
                    _facts(detail["facts"][1]),
                )
    except (KeyError, ValueError, TypeError):
        raise ValueError("a step that is not known") from None
    raise ValueError("a step that is not known")


def _facts(variants: Mapping[str, Variant]) -> Detail:
    return {name: value for name, (_signature, value) in variants.items()}
