# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Services whose program is known: in whose name it asks libpam."""

from __future__ import annotations

#: Programs that run with root's rights no matter who starts them, by the service that they ask.
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
#: Root's own tools, and those that userhelper runs for people: no login goes by them.
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
#: Programs that may not keep their caller's real uid: polkit's helper does not in every version,
#: and of others it is not known.
_UNSURE = frozenset(
    ("doas", "kcheckpass", "ksu", "pkexec", "polkit-1", "screen", "userhelper", "vlock", "xlock")
)
#: Programs that keep it.
CALLERS = (SETUID - _UNSURE) | _TOOLS
#: Programs that run as root, no matter who logs in by them.
ROOTS = frozenset(
    (
        "atd",
        "cron",
        "crond",
        "gdm",
        "gdm-autologin",
        "gdm-fingerprint",
        "gdm-launch-environment",
        "gdm-password",
        "gdm-smartcard",
        "gdm3",
        "greetd",
        "lightdm",
        "lightdm-autologin",
        "lightdm-greeter",
        "login",
        "lxdm",
        "remote",
        "rlogin",
        "rsh",
        "sddm",
        "sddm-autologin",
        "sddm-greeter",
        "slim",
        "sshd",
        "systemd-user",
        "telnet",
        "vsftpd",
        "xdm",
        "xrdp-sesman",
    )
)
#: Programs that serve people who are elsewhere, and nobody else.
FROM_AFAR = frozenset(
    ("cockpit", "dropbear", "remote", "rlogin", "rsh", "sshd", "telnet", "vsftpd", "xrdp-sesman")
)
#: Programs that serve people at this machine. Programs that are neither may be asked below a login
#: from afar, as su and sudo are.
AT_HAND = ROOTS - FROM_AFAR
