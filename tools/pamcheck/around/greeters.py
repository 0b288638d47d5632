# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Display managers that log somebody in by themselves."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.language import _

from ..finding import Finding, Severity
from .system import NotLooked, System

Settings = Mapping[str, tuple[str, str]]  #: ``section/key`` in small letters: (value, file)


@dataclass(frozen=True)
class Greeter:
    """A display manager: its programs, its files in the order in which it reads them (of two
    settings the later one counts), and the people whom it logs in, as (user, setting)."""

    name: str
    programs: Sequence[str]
    files: Sequence[str]
    users: Callable[[Settings], Iterator[tuple[str, str]]]


def _gdm(settings: Settings) -> Iterator[tuple[str, str]]:
    for who, switch in (
        ("daemon/automaticlogin", "daemon/automaticloginenable"),
        ("daemon/timedlogin", "daemon/timedloginenable"),
    ):
        if settings.get(switch, ("", ""))[0].lower() in ("true", "1", "yes") and who in settings:
            yield settings[who][0], who


def _lightdm(settings: Settings) -> Iterator[tuple[str, str]]:
    for key, (value, _file) in settings.items():
        section, _slash, option = key.rpartition("/")
        if section == "seatdefaults" or section.startswith("seat:"):
            if option == "autologin-user" and value:
                yield value, key
            elif option == "autologin-guest" and value.lower() == "true":
                yield _("a guest"), key


def _sddm(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.get("autologin/user", ("", ""))[0]:
        yield settings["autologin/user"][0], "autologin/user"


def _lxdm(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.get("base/autologin", ("", ""))[0]:
        yield settings["base/autologin"][0], "base/autologin"


def _greetd(settings: Settings) -> Iterator[tuple[str, str]]:
    if "initial_session/command" in settings:
        key = "initial_session/user"
        yield settings.get(key, ("root", ""))[0], "initial_session/command"


GREETERS = (
    Greeter(
        "gdm",
        ("gdm3", "gdm"),
        ("/etc/gdm/custom.conf", "/etc/gdm3/custom.conf", "/etc/gdm3/daemon.conf"),
        _gdm,
    ),
    Greeter(
        "lightdm",
        ("lightdm",),
        (
            "/usr/share/lightdm/lightdm.conf.d/*.conf",
            "/usr/local/share/lightdm/lightdm.conf.d/*.conf",
            "/etc/xdg/lightdm/lightdm.conf.d/*.conf",
            "/etc/lightdm/lightdm.conf.d/*.conf",
            "/etc/lightdm/lightdm.conf",
        ),
        _lightdm,
    ),
    Greeter(
        "sddm",
        ("sddm",),
        ("/usr/lib/sddm/sddm.conf.d/*.conf", "/etc/sddm.conf.d/*.conf", "/etc/sddm.conf"),
        _sddm,
    ),
    Greeter("lxdm", ("lxdm", "lxdm-binary"), ("/etc/lxdm/lxdm.conf",), _lxdm),
    Greeter("greetd", ("greetd",), ("/etc/greetd/config.toml",), _greetd),
)


def look(system: System) -> Iterator[Finding]:
    for greeter in GREETERS:
        if not any(map(system.program, greeter.programs)):
            continue
        settings: dict[str, tuple[str, str]] = {}
        for pattern in greeter.files:
            for file in system.glob(pattern):
                settings |= _read(file, system.read(file) or "")
        for user, setting in greeter.users(settings):
            text = _("{greeter} logs {user} in by itself, without asking anything.")
            yield Finding(
                "autologin",
                Severity.OPEN,
                settings[setting][1],
                text.format(greeter=greeter.name, user=user),
                _("take {setting} out").format(setting="[{}] {}".format(*setting.split("/", 1))),
            )


def _read(file: str, text: str) -> dict[str, tuple[str, str]]:
    """All settings of a file."""
    try:
        if file.endswith(".toml"):
            tables = tomllib.loads(text).items()
            sections = {name: table for name, table in tables if isinstance(table, dict)}
        else:
            parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
            parser.read_string(text)
            sections = {name: dict(parser.items(name)) for name in parser.sections()}
    except (configparser.Error, tomllib.TOMLDecodeError):
        raise NotLooked(file, _("it cannot be read as a configuration")) from None
    return {
        f"{name.lower()}/{key.lower()}": (str(value or "").strip(), file)
        for name, section in sections.items()
        for key, value in section.items()
    }
