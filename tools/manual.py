# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a command teaches beyond its options: in its ``--help`` and on its manual page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .language import N_


@dataclass(frozen=True)
class Manual:
    """Texts are marked, not translated; a title's body is one text."""

    summary: str
    about: str = ""
    section: int = 1  #: of the manual page; 8 for what only root can do
    examples: Sequence[tuple[str, str]] = ()  #: (command line, what it is for)
    json_keys: Sequence[tuple[str, str]] = ()  #: (key, its meaning); empty: no --json
    files: Sequence[tuple[str, str]] = ()
    see: Sequence[str] = ()  #: commands, and other manual pages such as ``usbkey(5)``
    usage: Sequence[str] = ()  #: its forms; empty: argparse makes one
    subcommands: Sequence[tuple[str, str]] = ()

    def all_keys(self) -> list[tuple[str, str]]:
        """The keys of ``--json``: its own, then those that every command has; none without it."""
        if not self.json_keys:
            return []
        taken = {key for key, _text in self.json_keys}
        return [*self.json_keys, *(row for row in _COMMON_KEYS if row[0] not in taken)]


#: The variables of its environment that every command obeys; for the manual pages.
ENVIRONMENT = (
    (
        "LC_ALL, LC_MESSAGES, LANG",
        N_("The first that is set chooses the language: English or Simplified Chinese."),
    ),
    ("NO_COLOR", N_("If it is set to anything, nothing is coloured.")),
)

_COMMON_KEYS = (
    ("ok", N_("true when the exit status is 0; else there are also:")),
    ("error", N_("the error's name, such as PinWrong, or null")),
    ("text", N_("what failed, for people")),
    ("status", N_("the exit status")),
)
