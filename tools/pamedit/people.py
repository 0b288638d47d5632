# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The people who get in once a ukey is asked for: the enrolled, and the second way in."""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import missing

GROUP = "ukey-breakglass"
GATE = Path("/usr/libexec/ukey/breakglass")
#: Members may become root by sudo or polkit, as distributions have it.
_ADMINISTRATORS = ("sudo", "wheel", "admin")
_SHADOW = Path("/etc/shadow")
_DAY = 86400


@dataclass(frozen=True)
class People:
    """Names, sorted."""

    enrolled: tuple[str, ...]  #: can log in, and have a ukey that is accepted
    administrators: tuple[str, ...]  #: those of them who can become root
    breakglass: tuple[str, ...]  #: members of the group who can log in by their password

    @property
    def second_way(self) -> bool:
        """Whether one person's lost ukey does not shut the host."""
        return bool(self.breakglass) or len(self.administrators) > 1


def look(bindings: Iterable[Mapping[str, Any]], *, ssh: bool) -> People:
    """`bindings`: the keyservice's rows. `ssh`: a registered ssh key counts as well; it lets nobody
    in but by ssh. Raises ``OSError`` where accounts cannot be read."""
    words = _passwords()
    enrolled = set()
    for row in bindings:
        if row.get("damaged") or row.get("revoked") is not False or row.get("algorithm_refused"):
            continue
        if row.get("purpose") == "ssh" and not ssh:
            continue
        with suppress(KeyError, ValueError):
            account = pwd.getpwnam(str(row.get("user")))
            if account.pw_uid == row.get("uid") and _logs_in(account, words):
                enrolled.add(account.pw_name)
    rulers = {"root"} | {name for group in _ADMINISTRATORS for name in _members(group)}
    rulers |= {account.pw_name for account in pwd.getpwall() if account.pw_uid == 0}
    glass = _members(GROUP) if os.access(GATE, os.X_OK) else set()
    return People(
        tuple(sorted(enrolled)),
        tuple(sorted(enrolled & rulers)),
        tuple(sorted(name for name in glass if name in words and _logs_in_by(name, words))),
    )


def _members(group: str) -> set[str]:
    try:
        found = grp.getgrnam(group)
    except KeyError:
        return set()
    own = {account.pw_name for account in pwd.getpwall() if account.pw_gid == found.gr_gid}
    return own | set(found.gr_mem)


def _logs_in_by(name: str, words: Mapping[str, bool]) -> bool:
    try:
        return _logs_in(pwd.getpwnam(name), words)
    except (KeyError, ValueError):
        return False


def _logs_in(account: pwd.struct_passwd, words: Mapping[str, bool]) -> bool:
    """A shell that is one, and a password that can be typed; of another name service's passwords
    nothing is known here, and they count."""
    shell = Path(account.pw_shell or "/bin/sh")
    return (
        shell.name not in missing.ENDING
        and os.access(shell, os.X_OK)
        and words.get(account.pw_name, True)
    )


def _passwords() -> dict[str, bool]:
    """Whether the password of each account of /etc/shadow can be typed, and the account is not
    expired, shadow(5)."""
    today = int(time.time()) // _DAY
    found = {}
    for line in _SHADOW.read_text(errors="surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) >= 8:
            expired = fields[7].isdigit() and int(fields[7]) <= today
            found[fields[0]] = fields[1][:1] not in ("", "!", "*") and not expired
    return found
