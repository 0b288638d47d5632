# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands that are everything by another name: a person who may run them can run anything."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from itertools import takewhile

_FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_SHELLS = ("ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "zsh")
#: Programs that become somebody else, or run a command that they are given.
_RUNNERS = (
    "su",
    "sudo",
    "doas",
    "pkexec",
    "runuser",
    "login",
    "env",
    "setpriv",
    "setsid",
    "chroot",
    "nsenter",
    "unshare",
    "busybox",
    "nice",
    "nohup",
    "timeout",
    "xargs",
    "script",
    "screen",
    "tmux",
    "systemd-run",
    "visudo",
    "sudoedit",
)
_INTERPRETERS = re.compile(r"(?:python|perl|ruby|lua|node|php|awk|gawk|mawk|tclsh)[0-9.]*")
#: Words that leave open what is run: "" says that no words may follow, and a shell needs none.
_NO_LIMIT = ('""', "root")
_NAMES = (*_SHELLS, *_RUNNERS)


def runs_anything(command: str) -> bool:
    """Whether a rule's command, in sudo's way of writing it, lets run anything."""
    program, *words = command.split() or [""]
    fixed = [word for word in takewhile(lambda word: "*" not in word, words) if word[0] != "-"]
    if not set(fixed) <= set(_NO_LIMIT):
        return False
    if command.startswith("^"):
        return _by_expression(command.split()[0])
    if program == "sudoedit":
        return True
    folder, _slash, name = program.rpartition("/")
    if not name:  # all of a folder
        return any(fnmatchcase(each, folder) for each in _FOLDERS)
    if any(sign in program for sign in "*?["):
        there = any(fnmatchcase(each, folder) for each in _FOLDERS)
        return there and any(fnmatchcase(each, name) for each in (*_NAMES, "python3", "perl"))
    return name in _NAMES or _INTERPRETERS.fullmatch(name) is not None


def _by_expression(text: str) -> bool:
    try:
        expression = re.compile(text)
    except re.error:
        return True  # it may be anything
    return any(expression.search(f"{folder}/{name}") for folder in _FOLDERS for name in _NAMES)
