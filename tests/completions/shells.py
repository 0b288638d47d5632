# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A real bash and a real zsh at a terminal, and what they offer behind what was typed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pexpect

#: What the shell prints before each prompt; no line that is typed has it.
_READY = "<the shell is ready>"
_PRINT_READY = "echo '<the shell'' is ready>'"
#: Keys: one that inserts all completions, which is bound below, and one to the line's start.
_ALL, _HOME = "\x14", "\x01"


class Shell:
    """A shell without anybody's configuration. PATH is empty once it is set up: a completion that
    starts a program offers nothing."""

    def __init__(self, command: Sequence[str], setup: Sequence[str], folder: Path) -> None:
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(folder),
            env={"PATH": "/usr/bin:/bin", "TERM": "dumb", "LANG": "C.UTF-8", "HOME": str(folder)},
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 2000),
        )
        self._child.delaybeforesend = None
        self._child.sendline("; ".join((*setup, "PATH=/nonexistent")))
        self._child.expect_exact(_READY)

    def words(self, keys: str) -> list[str]:
        """The line that `keys` come to, as the shell takes it apart. It is not run: its words are
        arguments of a builtin, in single quotes where they would be expanded."""
        self._child.send(f"{keys}{_HOME}printf '<%s>\\n' \r")
        self._child.expect_exact(_READY)
        lines = str(self._child.before).split("\r\n")
        return [line[1:-1] for line in lines if line.startswith("<") and line.endswith(">")]

    def offers(self, typed: str) -> list[str]:
        """All that can stand where `typed` ends, sorted; its last word itself where nothing can."""
        before = len(shlex.split(typed)) - (not typed.endswith(" "))
        return sorted(self.words(typed + _ALL)[before:])

    def press(self, typed: str) -> None:
        """Type, complete with TAB, list and insert everything, and give the line up."""
        self._child.send(f"{typed}\t\t{_ALL}\x15{_PRINT_READY}\r")
        self._child.expect_exact(_READY)
        self._child.expect_exact(_READY)

    def close(self) -> None:
        self._child.close(force=True)


def bash(folder: Path) -> Shell:
    # bash-completion finds them by the command's name, with programs: not with an empty PATH.
    names = ("ukey", "getpubkey", "rmpubkey", "chpinpw")
    setup = (
        "source /usr/share/bash-completion/bash_completion",
        *(f"__load_completion {name}" for name in names),
        "bind 'set bell-style none'",
        "bind 'set enable-bracketed-paste off'",
        "bind 'set completion-query-items 0'",
        "bind 'set page-completions off'",
        """bind '"\\C-t": insert-completions'""",
        f'PROMPT_COMMAND="{_PRINT_READY}"',
    )
    return Shell(["/bin/bash", "--norc", "--noprofile", "-i"], setup, folder)


def zsh(folder: Path) -> Shell:
    setup = (
        "unsetopt beep zle_bracketed_paste 2>/dev/null",
        "unset zle_bracketed_paste",
        "LISTMAX=10000",
        "bindkey -e",
        # By itself zsh's TAB expands what was typed, commands too, before it completes anything.
        "bindkey '^I' complete-word",
        "autoload -Uz compinit",
        # What completes which command: the first test's zsh looks, and writes it down for the rest.
        f"compinit -C -u -d {shlex.quote(str(folder.parent / 'zcompdump'))}",
        "zle -C all-matches complete-word _generic",
        "bindkey '^T' all-matches",
        "zstyle ':completion:all-matches::::' completer _all_matches _complete",
        "zstyle ':completion:all-matches:*' insert true",
        f"precmd() {{ {_PRINT_READY} }}",
    )
    return Shell(["/bin/zsh", "-f", "-i"], setup, folder)
