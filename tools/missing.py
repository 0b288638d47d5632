# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The accounts that can log in on this host and have no ukey: an administrator's question in a
roll-out."""

from __future__ import annotations

import pwd
from collections.abc import Collection, Iterator
from pathlib import Path

from .bus import Row
from .language import N_

KEYS = (
    ("user", N_("the user's name")),
    ("uid", N_("the user's number")),
    ("shell", N_("the shell that a login starts")),
)

_SHADOW = Path("/etc/shadow")
#: Programs in place of a shell that end a login.
ENDING = frozenset({"false", "nologin", "sync", "shutdown", "halt"})


def accounts(enrolled: Collection[int]) -> list[Row]:
    """The accounts that a login starts a shell for, without those whose uid is among `enrolled`.

    Those whose password is locked in /etc/shadow are left out; of another name service's passwords
    nothing is known here, and such accounts count.
    """
    locked = set(_locked())
    return [
        {"user": each.pw_name, "uid": each.pw_uid, "shell": each.pw_shell or "/bin/sh"}
        for each in pwd.getpwall()
        if each.pw_uid not in enrolled
        and Path(each.pw_shell).name not in ENDING
        and each.pw_name not in locked
    ]


def _locked() -> Iterator[str]:
    """Names whose password nobody can type: ``!`` or ``*`` stands in front of it, shadow(5)."""
    for line in _SHADOW.read_bytes().splitlines():
        name, _colon, rest = line.partition(b":")
        if rest[:1] in (b"!", b"*"):
            yield name.decode(errors="surrogateescape")
