# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""doas' rules that ask for nothing, or remember an answer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .commands import runs_anything
from .system import System

CONFIG = "/etc/doas.conf"


def look(system: System) -> Iterator[Finding]:
    for number, line in system.lines(CONFIG):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        options = words[1 : words.index("as")] if "as" in words else words[1:]
        if words[:1] != ["permit"]:
            continue
        if "nopass" in options:
            yield Finding(
                "doas-without-password",
                Severity.OPEN if _everything(words) else Severity.NOTE,
                f"{CONFIG}:{number}",
                _("doas asks for nothing: {rule}").format(rule=" ".join(words)),
                _("take nopass out of the rule"),
            )
        elif "persist" in options:
            yield Finding(
                "doas-remembers",
                Severity.NOTE,
                f"{CONFIG}:{number}",
                _("For five minutes after an answer doas asks for nothing: {rule}").format(
                    rule=" ".join(words)
                ),
                _("take persist out of the rule"),
            )


def _everything(words: list[str]) -> bool:
    """Any command, or one that runs any. With ``args`` it is given those words only."""
    if "cmd" not in words:
        return True
    command = words[words.index("cmd") + 1 :]
    fixed = command[2:] if command[1:2] == ["args"] else []
    return bool(command) and runs_anything(" ".join((command[0].rpartition("/")[2], *fixed)))
