# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ways around PAM that a program can see: each has one file, and one line below.

``docs/ways-around.md`` lists them all, and says which are looked at here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from pathlib import Path

from tools.language import _, reason

from ..finding import Finding
from . import (
    accounts,
    boot,
    doas,
    getty,
    greeters,
    other_servers,
    polkit,
    rescue,
    sshd,
    su,
    sudoers,
)
from .system import NotLooked, System, not_looked_at

#: All that is looked at, in the order of the findings: from afar, from user to user, at the
#: machine.
WAYS: tuple[tuple[str, Callable[[System], Iterable[Finding]]], ...] = (
    ("ssh", sshd.look),
    ("telnet, rlogin, dropbear", other_servers.look),
    ("su", su.look),
    ("sudo", sudoers.look),
    ("doas", doas.look),
    ("polkit", polkit.look),
    ("shadow", accounts.look),
    ("getty", getty.look),
    ("display managers", greeters.look),
    ("sulogin", rescue.look),
    ("boot", boot.look),
)


def ways(root: Path = Path("/"), only: Container[str] | None = None) -> list[Finding]:
    """All ways around PAM that are seen on the host whose files are below `root`, or `only` those
    of these names in :data:`WAYS`.

    What cannot be looked at, because a program is missing or a file cannot be read, is a finding
    too. Programs run inside `root`; each has a deadline.
    """
    system = System(root)
    found: list[Finding] = []
    for name, look in WAYS:
        if only is not None and name not in only:
            continue
        try:
            for finding in look(system):
                found.append(finding)  # those before a failure count too
        except NotLooked as unseen:
            found.append(not_looked_at(name, unseen))
        except OSError as error:
            place = str(error.filename or name)
            remedy = _("run it as root") if isinstance(error, PermissionError) else ""
            why = NotLooked(place, reason(error), remedy)
            found.append(not_looked_at(name, why))
    return found
