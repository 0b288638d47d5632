# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Consoles that log somebody in by themselves."""

from __future__ import annotations

import getopt
import shlex
from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .system import System
from .units import Setting, Units

#: agetty(8), util-linux 2.38 and later.
_SHORT = "8a:cC:d:Ef:hH:iI:Jl:LmnNo:pP:r:Rst:Uw"
_LONG = [
    "8bits",
    "autologin=",
    "noreset",
    "chdir=",
    "delay=",
    "remote",
    "issue-file=",
    "show-issue",
    "flow-control",
    "host=",
    "noissue",
    "init-string=",
    "noclear",
    "login-program=",
    "local-line=",
    "extract-baud",
    "skip-login",
    "nonewline",
    "login-options=",
    "login-pause",
    "nice=",
    "chroot=",
    "hangup",
    "keep-baud",
    "timeout=",
    "detect-case",
    "wait-cr",
    "nohints",
    "nohostname",
    "long-hostname",
    "erase-chars=",
    "kill-chars=",
    "reload",
    "list-speeds",
    "help",
    "version",
]
#: Credentials that stand in for an answer at a login: systemd.system-credentials(7).
_CREDENTIALS = ("agetty.autologin", "login.noauth")
_STORES = ("/etc/credstore", "/run/credstore", "/usr/lib/credstore")
_INITTAB = "/etc/inittab"


def look(system: System) -> Iterator[Finding]:
    units = Units(system)
    seen: set[str] = set()
    for name in units.names():
        for setting in units.settings(name, "ExecStart"):
            # A template's line counts for its instances too.
            if setting.place not in seen:
                found = list(_judge(setting, name))
                if found:
                    seen.add(setting.place)
                yield from found
    for number, line in system.lines(_INITTAB):
        command = line.split(":", 3)[-1]
        yield from _judge(Setting("", command, f"{_INITTAB}:{number}"), _INITTAB)
    for store in _STORES:
        for credential in _CREDENTIALS:
            if system.exists(f"{store}/{credential}"):
                yield Finding(
                    "autologin",
                    Severity.OPEN,
                    f"{store}/{credential}",
                    _("The credential {name} has consoles log in without asking anybody.").format(
                        name=credential
                    ),
                    f"rm {store}/{credential}",
                )


def _judge(setting: Setting, unit: str) -> Iterator[Finding]:
    words = setting.words
    program = words[0].rpartition("/")[2] if words else ""
    if program == "login":
        if _short_f(words[1:]):
            yield _no_question(setting, " ".join(words))
    elif program.endswith("getty"):
        try:
            options, _rest = getopt.gnu_getopt(words[1:], _SHORT, _LONG)
        except getopt.GetoptError:  # another getty: mingetty, fgetty
            options = [("-a", word) for word in words if "autologin" in word]
        for option, value in options:
            if option in ("-a", "--autologin"):
                text = _("A console logs {user} in without asking anything ({unit}).")
                yield Finding(
                    "autologin",
                    Severity.OPEN,
                    setting.place,
                    text.format(user=value.rpartition("=")[2] or value, unit=unit),
                    _("take --autologin out of that line"),
                )
            elif option in ("-o", "--login-options") and _short_f(_split(value)):
                yield _no_question(setting, f"login {value}")
            elif option in ("-l", "--login-program") and value.rpartition("/")[2] != "login":
                text = _("A console runs {program} in place of login ({unit}).")
                yield Finding(
                    "console-shell",
                    Severity.OPEN,
                    setting.place,
                    text.format(program=value, unit=unit),
                    _("take --login-program out of that line, or see that it asks PAM"),
                )


def _no_question(setting: Setting, command: str) -> Finding:
    return Finding(
        "autologin",
        Severity.OPEN,
        setting.place,
        _("'{command}' logs in without asking anything: -f says that somebody asked.").format(
            command=command
        ),
        _("take -f out of that line"),
    )


def _short_f(words: list[str]) -> bool:
    """Whether login's ``-f`` is among the options."""
    options = words[: words.index("--")] if "--" in words else words
    return any(word[:1] == "-" and word[:2] != "--" and "f" in word for word in options)


def _split(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()
