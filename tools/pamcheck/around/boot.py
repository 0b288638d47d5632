# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Shells that the boot gives away, and a boot line that anybody may edit."""

from __future__ import annotations

from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .rescue import BOOT_LINES
from .system import System
from .units import Units

DEBUG_SHELL = "debug-shell.service"
_GRUB = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_SHELLS = ("/bin/sh", "/bin/bash", "/bin/dash", "/sbin/sulogin", "/bin/busybox")


def look(system: System) -> Iterator[Finding]:
    link = Units(system).started(DEBUG_SHELL)
    if link is not None:
        yield _shell(link, f"systemctl disable {DEBUG_SHELL}")
    for pattern in BOOT_LINES:
        for file in system.glob(pattern):
            for number, line in system.lines(file):
                for word in line.replace('"', " ").replace("'", " ").split():
                    if _gives_a_shell(word):
                        yield _shell(f"{file}:{number}", _("take {word} out").format(word=word))
    for file in _GRUB:
        text = system.read(file)
        if text is not None and not ("superusers" in text and "password" in text):
            yield Finding(
                "boot-line",
                Severity.NOTE,
                file,
                _(
                    "GRUB has no password: people at the machine can write init=/bin/sh and are "
                    "root."
                ),
                _("set superusers and password_pbkdf2 in /etc/grub.d/40_custom"),
            )


def _gives_a_shell(word: str) -> bool:
    name, _equals, value = word.partition("=")
    name = name.replace("_", "-")
    if name == "systemd.debug-shell":
        return value.lower() not in ("0", "no", "false", "off")
    if name in ("init", "rd.init", "rdinit"):
        return value.removeprefix("/usr") in _SHELLS
    return name == "rd.break"


def _shell(place: str, remedy: str) -> Finding:
    return Finding(
        "boot-shell",
        Severity.OPEN,
        place,
        _("The boot gives a root shell on a console without asking anything."),
        remedy,
    )
