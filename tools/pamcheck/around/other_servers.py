# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Servers for remote logins beside sshd: another sshd, dropbear, telnet, rlogin, rsh."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from tools.language import _

from ..finding import Finding, Severity
from .system import System
from .units import Units

_RHOSTS = re.compile(r"-?auth\s.*\bpam_rhosts(_auth)?(\.so)?\b")
#: inetd's names of the services, and whether they take an address as proof.
_INETD = {"telnet": False, "login": True, "shell": True, "exec": True}
_SOCKETS = {
    "telnet.socket": False,
    "inetutils-telnetd.socket": False,
    "rlogin.socket": True,
    "rsh.socket": True,
    "rexec.socket": True,
}


def look(system: System) -> Iterator[Finding]:
    units = Units(system)
    for name, by_address in _SOCKETS.items():
        link = units.started(name)
        if link is not None:
            yield _inetd(link, name.partition(".")[0], by_address, f"systemctl disable {name}")
    for file in ("/etc/inetd.conf", *system.glob("/etc/inetd.d/*")):
        for number, line in system.lines(file):
            name = line.split()[0]
            if name in _INETD:
                yield _inetd(f"{file}:{number}", name, _INETD[name], _("take that line out"))
    for file in system.glob("/etc/pam.d/*"):
        for number, line in system.lines(file):
            if _RHOSTS.match(line):
                yield Finding(
                    "address-alone",
                    Severity.OPEN,
                    f"{file}:{number}",
                    _("The address that somebody comes from lets in alone (pam_rhosts)."),
                    _("take that line out"),
                )
    yield from _running(system)


def _running(system: System) -> Iterator[Finding]:
    for file in system.glob("/proc/[0-9]*/cmdline"):
        words: list[str] = []
        with suppress(OSError):  # it has ended
            words = (system.read(file) or "").split("\0")
        program = words[0].rpartition("/")[2] if words else ""
        own = program == "sshd" and any(word.startswith(("-f", "-o")) for word in words[1:])
        if program == "dropbear" or own:
            yield Finding(
                "another-ssh",
                Severity.NOTE,
                file,
                _("Another ssh server runs, with a configuration of its own: {command}").format(
                    command=" ".join(words).strip()
                ),
                _("stop it; or see for yourself what it accepts"),
            )


def _inetd(place: str, name: str, by_address: bool, remedy: str) -> Finding:
    if by_address:
        text = _("{service} takes the address that somebody comes from for a proof.")
        return Finding("address-alone", Severity.OPEN, place, text.format(service=name), remedy)
    text = _("{service} sends the password and the PIN over the network as they are typed.")
    return Finding("telnet", Severity.TELLS, place, text.format(service=name), remedy)
