# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Completions of the commands for bash and zsh, made from their parsers.

They run in the shell of the person who presses TAB, root's too. So nothing that was typed is ever
evaluated, nor the name of a file or a user, nor what a ukey says of itself; and the one program
that is started is ukey, for serials and revoked keys.
"""

from __future__ import annotations

from pathlib import Path

from tools.commands import parsers
from tools.parser import Parser

from . import bash, zsh

BASH = "usr/share/bash-completion/completions"


def write(staged: Path) -> None:
    """Write the completions of every command below `staged`."""
    for name, family in families().items():
        _put(staged / BASH / name, bash.script(name, family))
        _put(staged / zsh_directory() / f"_{name}", zsh.script(name, family))


def families() -> dict[str, list[Parser]]:
    """Command → its parser, then those of its subcommands."""
    found: dict[str, list[Parser]] = {}
    for parser in parsers():
        found.setdefault(parser.prog.partition(" ")[0], []).append(parser)
    return found


def zsh_directory(root: Path = Path("/")) -> str:
    """Where the zsh of the distribution at `root` looks for what packages bring."""
    debian = (root / "etc/debian_version").exists()
    return f"usr/share/zsh/{'vendor-completions' if debian else 'site-functions'}"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
