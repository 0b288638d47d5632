# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Accounts with one factor less, and groups that are root by another name."""

from __future__ import annotations

from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .system import System

#: Groups whose members may reach things that give root away.
_LIKE_ROOT = ("docker", "lxd", "incus-admin", "libvirt", "kvm", "disk", "shadow")
_NAMED = 5


def look(system: System) -> Iterator[Finding]:
    for group in _LIKE_ROOT:
        members = [name for name in dict.fromkeys(system.group(group)) if name != "root"]
        if members:
            shown = ", ".join(members[:_NAMED]) + (", …" if len(members) > _NAMED else "")
            yield Finding(
                "group-like-root",
                Severity.NOTE,
                "/etc/group",
                _("Members of {group} can become root without being asked: {members}.").format(
                    group=group, members=shown
                ),
                f"gpasswd -d {members[0]} {group}",
            )
    for row in system.passwd():
        if row[2].lstrip("0") == "" and row[0] != "root":
            yield Finding(
                "second-root",
                Severity.NOTE,
                "/etc/passwd",
                _("{user} is root by another name: a ukey of root's does not guard it.").format(
                    user=row[0]
                ),
                f"userdel {row[0]}",
            )
    for file in ("/etc/passwd", "/etc/shadow"):
        for number, line in system.lines(file):
            fields = line.split(":")
            if len(fields) > 2 and not fields[1]:
                yield Finding(
                    "empty-password",
                    Severity.OPEN,
                    f"{file}:{number}",
                    _(
                        "The password of {user} is empty: with nullok in a stack the ukey alone "
                        "lets in, or nothing at all."
                    ).format(user=fields[0]),
                    f"passwd -l {fields[0]}",
                )
