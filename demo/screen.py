# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the person in front of the demo reads."""

from __future__ import annotations

import os
import sys

from demo import words

WIDTH = 78
_MARGIN = "    │ "


def colour() -> bool:
    """Whether standard output is a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def styled(text: str, style: str) -> str:
    """`text` in a style of ECMA-48, such as "1" for bold, where that is wanted."""
    return f"\x1b[{style}m{text}\x1b[0m" if colour() and text else text


def heading(text: str) -> None:
    print(f"\n{styled(text, '1')}", flush=True)


def tell(text: str) -> None:
    """A paragraph."""
    print(words.filled(text, WIDTH), flush=True)


def step(text: str) -> None:
    """What is under way, on one line."""
    print(f"  {text} …", flush=True)


def show(command: str, screen: str) -> None:
    """The screen of the other person, who typed `command`."""
    shown = screen.replace("\r\n", "\n").replace("\r", "").strip("\n")
    for line in [f"$ {command}", *shown.split("\n")]:
        print(styled(_MARGIN, "2") + line.rstrip(), flush=True)


def result(case: str, verdict: str, milliseconds: int, expected: bool) -> None:
    """The line of a case, for people and programs."""
    line = f"case={case} verdict={verdict} ms={milliseconds}"
    print(f"  {styled(line, '32' if expected else '31;1')}", flush=True)
