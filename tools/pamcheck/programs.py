# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Services whose program is known: in whose name it asks libpam."""

from __future__ import annotations

#: Programs that run with root's rights whoever starts them, by the service that they ask.
SETUID = frozenset(
    (
        "su",
        "su-l",
        "sudo",
        "sudo-i",
        "passwd",
        "chfn",
        "chsh",
        "chage",
        "gpasswd",
        "newgrp",
        "polkit-1",
        "doas",
        "ksu",
        "screen",
        "userhelper",
        "pkexec",
        "vlock",
        "xlock",
        "kcheckpass",
    )
)
#: Root's own tools, and what userhelper runs for people: no login goes by them.
_TOOLS = frozenset(
    (
        "chpasswd",
        "config-util",
        "groupadd",
        "groupdel",
        "groupmems",
        "groupmod",
        "halt",
        "newusers",
        "poweroff",
        "reboot",
        "runuser",
        "runuser-l",
        "useradd",
        "userdel",
        "usermod",
        "xserver",
    )
)
#: Those that keep the real uid of whoever calls them. polkit's helper does not in every version.
CALLERS = (SETUID - {"polkit-1"}) | _TOOLS
