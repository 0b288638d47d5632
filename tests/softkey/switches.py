# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Dataclasses whose fields are switches: their values, and the command line options for them."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, field, fields
from typing import Any


def choice(default: Any, *others: Any, help: str) -> Any:
    """A field that takes one of some values."""
    return field(default=default, metadata={"choices": (default, *others), "help": help})


def flag(help: str) -> Any:
    return choice(False, True, help=help)


def number(help: str, kind: type[int] | type[float] = int, least: float = 0) -> Any:
    """A field that takes a number, `least` or more, 0 if it is not given."""
    return field(default=kind(0), metadata={"number": kind, "least": least, "help": help})


def codes(help: str) -> Any:
    """A field that takes a tuple of instruction codes, one byte each."""
    return field(default=(), metadata={"codes": True, "help": help})


def check(switches: Any) -> None:
    """Raise :class:`ValueError` for a field whose value is not one that it takes."""
    for entry in fields(switches):
        value, rules = getattr(switches, entry.name), entry.metadata
        if "choices" in rules:
            allowed = rules["choices"]
            right = any(value == one and type(value) is type(one) for one in allowed)
            wanted = "one of " + ", ".join(map(str, filter(None, allowed)))
        elif "codes" in rules:
            right = isinstance(value, tuple) and all(
                isinstance(code, int) and 0 <= code <= 0xFF for code in value
            )
            wanted = "bytes"
        else:
            right = type(value) in (int, rules["number"]) and value >= rules["least"]
            wanted = f"a number, {rules['least']:g} or more"
        if not right:
            raise ValueError(f"{entry.name.replace('_', '-')} takes {wanted}")


def changed(switches: Any) -> dict[str, Any]:
    """The fields that are not at their default."""
    return {
        entry.name: value
        for entry in fields(switches)
        if (value := getattr(switches, entry.name)) != entry.default
    }


def add_options(parser: Any, kind: type) -> None:
    """An option for each field of the dataclass `kind`."""
    for entry in fields(kind):
        name, rules = "--" + entry.name.replace("_", "-"), entry.metadata
        common = {"default": MISSING, "help": rules["help"]}
        if rules.get("choices") == (False, True):
            parser.add_argument(name, action="store_true", **common)
        elif "choices" in rules:
            allowed = [one for one in rules["choices"] if one != ""]
            parser.add_argument(name, type=type(entry.default), choices=allowed, **common)
        elif "codes" in rules:
            parser.add_argument(name, type=_codes, metavar="INS[,INS]", **common)
        else:
            kind_of = rules["number"] if rules["number"] is float else _integer
            parser.add_argument(name, type=kind_of, metavar="N", **common)


def from_options(options: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The values of `kind`'s fields that the command line gave."""
    given = {entry.name: getattr(options, entry.name) for entry in fields(kind)}
    return {name: value for name, value in given.items() if value is not MISSING}


def _integer(text: str) -> int:
    return int(text, 0)


def _codes(text: str) -> tuple[int, ...]:
    return tuple(int(code, 16) for code in text.split(","))
