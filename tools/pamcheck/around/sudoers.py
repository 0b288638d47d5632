# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""sudo's rules that ask for no password, and so never run PAM's auth stack.

``cvtsudoers``, which comes with sudo, reads them; the files are read here to name the line only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.language import _

from ..finding import Finding, Severity
from .commands import runs_anything
from .system import NotLooked, NotThere, System, not_looked_at

SUDOERS = "/etc/sudoers"
CONF = "/etc/sudo.conf"
#: Options that name the service that sudo asks.
_SERVICES = ("pam_service", "pam_login_service", "pam_askpass_service")
#: Minutes, where no rule says.
_REMEMBERED = "15"
#: Commands and people that a text names.
_NAMED = 3
_INCLUDE = re.compile(r"[@#]include(dir)?\s+\"?([^\"]+?)\"?")
#: ``#1000`` is somebody.
_COMMENT = re.compile(r"\s*#(?!\d)")

Node = Mapping[str, Any]


def look(system: System) -> Iterator[Finding]:
    if not system.exists(SUDOERS):
        raise NotThere(SUDOERS, _("no sudo is installed"))
    yield from _elsewhere(system)
    yield from _plugins(system)
    cvtsudoers = system.program("cvtsudoers")
    if cvtsudoers is None:
        remedy = f"grep -rE 'NOPASSWD|!authenticate' {SUDOERS} {SUDOERS}.d"
        raise NotLooked(SUDOERS, _("there is no cvtsudoers to read it with"), remedy)
    ran = system.run(cvtsudoers, "--expand-aliases", "--output-format", "json", SUDOERS)
    try:
        rules: Node = json.loads(ran.out if ran.status == 0 else "")
    except ValueError:
        remedy = "visudo -c" if os.access(system.path(SUDOERS), os.R_OK) else _("run it as root")
        raise NotLooked(SUDOERS, ran.complaint, remedy) from None
    yield from _defaults(system, rules.get("Defaults", ()))
    for rule in rules.get("User_Specs", ()):
        people = rule.get("User_List", ())
        if not _root_only(people):
            for specification in rule.get("Cmnd_Specs", ()):
                if _option(specification, "authenticate") is False:
                    yield _unasked(system, people, rule.get("Host_List", ()), specification)


def _unasked(
    system: System, people: Sequence[Node], hosts: Sequence[Node], specification: Node
) -> Finding:
    """A rule with NOPASSWD. A rule for everything, or for a shell, gives the other account away;
    other rules may."""
    commands = specification.get("Commands", ())
    everything = any(
        _is_everything(str(node.get("command", ""))) for node in commands if not node.get("negated")
    )
    runas = specification.get("runasusers") or [{"username": "root"}]
    text = _("sudo asks {who} for nothing before it runs {what} as {whom}.").format(
        who=_words(people), what=_words(commands), whom=_words(runas)
    )
    if _words(hosts) != "ALL":
        text += " " + _("On: {hosts}.").format(hosts=_words(hosts))
    if not everything:
        text += " " + _("Whether these commands lead further is for you to judge.")
    return Finding(
        "sudo-without-password",
        Severity.OPEN if everything else Severity.NOTE,
        _place(system, "NOPASSWD", [_word(node) for node in people]),
        text,
        _("take NOPASSWD out of the rule (visudo)"),
    )


def _is_everything(command: str) -> bool:
    return command == "ALL" or runs_anything(command)


def _defaults(system: System, defaults: Sequence[Node]) -> Iterator[Finding]:
    remembered = _REMEMBERED
    for entry in defaults:
        bound = entry.get("Binding", ())
        if _option(entry, "authenticate") is False:
            yield Finding(
                "sudo-without-password",
                Severity.OPEN,
                _place(system, "!authenticate", []),
                _("sudo asks nobody for anything: Defaults !authenticate.")
                if not bound
                else _("sudo asks for nothing where Defaults !authenticate holds: {whom}.").format(
                    whom=_words(bound)
                ),
                _("take !authenticate out of the Defaults (visudo)"),
            )
        group = _option(entry, "exempt_group")
        if group:
            yield Finding(
                "sudo-without-password",
                Severity.OPEN,
                _place(system, "exempt_group", []),
                _("sudo asks the members of group {group} for nothing.").format(group=group),
                _("take exempt_group out of the Defaults (visudo)"),
            )
        for name in _SERVICES:
            yield from _other_service(system, name, _option(entry, name))
        minutes = _option(entry, "timestamp_timeout")
        if minutes is not None and not bound:
            remembered = str(minutes)
    if not _is_zero(remembered):
        yield Finding(
            "sudo-remembers",
            Severity.NOTE,
            _place(system, "timestamp_timeout", []),
            _("Within {count} minutes of an answer sudo asks for nothing.").format(count=remembered)
            if not remembered.startswith("-")
            else _("Once answered, sudo asks for nothing until the next boot."),
            "Defaults timestamp_timeout=0",
        )


def _elsewhere(system: System) -> Iterator[Finding]:
    """Rules that come from a directory are in no file."""
    for number, line in system.lines("/etc/nsswitch.conf"):
        database, _colon, sources = line.partition(":")
        found = {"ldap", "sss"} & set(sources.split())
        if database.strip() == "sudoers" and found:
            reason = _("they come from {source}").format(source=", ".join(sorted(found)))
            place = f"/etc/nsswitch.conf:{number}"
            why = NotLooked(place, reason, _("for each user: sudo -l -U USER"))
            yield not_looked_at(_("sudo's rules in a directory"), why)


def _other_service(system: System, name: str, service: object) -> Iterator[Finding]:
    """The findings about the stack of sudo are then not about the stack that people meet."""
    if isinstance(service, str) and service not in ("sudo", "sudo-i"):
        reason = _("it asks PAM by the name of {service}").format(service=service)
        place = _place(system, name, [service])
        why = NotLooked(place, reason, f"ukey pam check {shlex.quote(service)}")
        yield not_looked_at("sudo", why)


def _plugins(system: System) -> Iterator[Finding]:
    """Plugins may decide by anything; sudo's own can be told of another file."""
    for number, line in system.lines(CONF):
        words = line.split()
        if words[0].lower() != "plugin" or len(words) < 3:
            continue
        told = any(word.startswith(("sudoers_file=", "ldap_")) for word in words[3:])
        if words[2].rpartition("/")[2] != "sudoers.so" or told:
            reason = _("a plugin decides: {plugin}").format(plugin=" ".join(words[2:]))
            yield not_looked_at("sudo", NotLooked(f"{CONF}:{number}", reason))


def _option(node: Node, name: str) -> Any:
    """The value of an option; None where it is not set. Of several, sudo takes the last."""
    found = [option[name] for option in node.get("Options", ()) if name in option]
    return found[-1] if found else None


def _root_only(people: Sequence[Node]) -> bool:
    """Root needs no rule."""
    return all(node.get("username") == "root" or node.get("userid") == 0 for node in people)


def _is_zero(number: str) -> bool:
    try:
        return float(number) == 0
    except ValueError:
        return False


_SIGNS = {
    "usergroup": "%",
    "usergid": "%#",
    "nonunixgroup": "%:",
    "nonunixgid": "%:#",
    "netgroup": "+",
    "userid": "#",
}


def _word(node: Node) -> str:
    """``%ops``, ``!carol``: as the rule writes it."""
    for key, value in node.items():
        if key != "negated":
            return ("!" if node.get("negated") else "") + _SIGNS.get(key, "") + str(value)
    return "?"


def _words(nodes: Sequence[Node]) -> str:
    words = [_word(node) for node in nodes]
    return ", ".join(words[:_NAMED]) + (", …" if len(words) > _NAMED else "")


# -- which line


def _place(system: System, needle: str, names: Sequence[str]) -> str:
    """The first line with `needle`, if possible one that names somebody of `names`."""
    lines = [
        (f"{file}:{number}", line)
        for file in _files(system, SUDOERS, set())
        for number, line in enumerate((system.read(file) or "").splitlines(), 1)
        if needle in line and not _COMMENT.match(line)
    ]
    named = [place for place, line in lines if any(name in line for name in names)]
    return (named or [place for place, _line in lines] or [SUDOERS])[0]


def _files(system: System, name: str, seen: set[str]) -> Iterator[str]:
    """The file and those that it includes. ``#include`` is no comment there."""
    if name in seen:
        return
    seen.add(name)
    yield name
    for line in (system.read(name) or "").splitlines():
        found = _INCLUDE.fullmatch(line.strip())
        if found is not None:
            whole, path = found.groups()
            absolute = path if path.startswith("/") else f"/etc/{path}"
            # As sudo: not those with a dot, or that end with ~
            inside = [
                file
                for file in system.glob(absolute.rstrip("/") + "/*")
                if "." not in file.rpartition("/")[2] and not file.endswith("~")
            ]
            for file in inside if whole else [absolute]:
                yield from _files(system, file, seen)
