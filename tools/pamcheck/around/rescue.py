# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Rescue and emergency mode: sulogin asks for root's password, and knows no PAM."""

from __future__ import annotations

from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .system import System
from .units import Units

FORCE = "SYSTEMD_SULOGIN_FORCE"
UNITS = ("rescue.service", "emergency.service", "console-shell.service")
_MANAGER = ("/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "busybox")
#: The files with the words that the kernel is started with.
BOOT_LINES = (
    "/proc/cmdline",
    "/etc/kernel/cmdline",
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
)


def look(system: System) -> Iterator[Finding]:
    units = Units(system)
    for name in UNITS:
        for setting in units.settings(name, "Environment"):
            if _forces(setting.value):
                yield _forced(setting.place)
        for setting in units.settings(name, "ExecStart"):
            words = setting.words
            program = words[0].rpartition("/")[2] if words else ""
            if program == "sulogin" and {"-e", "--force"} & set(words):
                yield _forced(setting.place)
            elif program in _SHELLS and "sulogin" not in setting.value:
                text = _("{unit} gives a root shell without asking anything.")
                yield Finding(
                    "rescue-shell",
                    Severity.OPEN,
                    setting.place,
                    text.format(unit=name),
                    f"systemctl revert {name}",
                )
    for pattern in (*_MANAGER, *BOOT_LINES):
        for file in system.glob(pattern):
            for number, line in system.lines(file):
                if _forces(line):
                    yield _forced(f"{file}:{number}")
    yield from _root(system)


def _forces(text: str) -> bool:
    """As systemd reads it: 1, yes, true, on. Any other value is an error there, and means no."""
    _before, found, value = text.replace('"', " ").replace("'", " ").partition(f"{FORCE}=")
    return bool(found) and value.split()[:1] in (["1"], ["yes"], ["true"], ["on"], ["y"], ["t"])


def _forced(place: str) -> Finding:
    return Finding(
        "sulogin-forced",
        Severity.OPEN,
        place,
        _("Where root is locked, rescue and emergency mode give a root shell without asking."),
        _("take {variable}, or --force, out").format(variable=FORCE),
    )


def _root(system: System) -> Iterator[Finding]:
    for number, line in system.lines("/etc/shadow"):
        name, _colon, rest = line.partition(":")
        password = rest.partition(":")[0]
        if name == "root" and password[:1] not in ("!", "*"):
            yield Finding(
                "sulogin-password",
                Severity.OPEN,
                f"/etc/shadow:{number}",
                _("Root has a password: rescue and emergency mode ask for that alone, and not PAM.")
                if password
                else _("Root's password is empty: rescue and emergency mode ask for nothing."),
                "passwd -l root",
            )
