# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is wrong on this host for the keyservice, or is not what it seems: one look, for the
service's start and for ``--check-config``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from keyservice.access import consoles
from keyservice.access.settings import Rules
from keyservice.config import Config, load
from keyservice.contract.names import ATTESTATION_DIR, SELINUX_DOMAIN
from keyservice.contract.pam import SAME_SERVICE
from keyservice.core import fips, selinux
from keyservice.core.errors import ConfigurationError, UkeyError
from keyservice.core.text import plain
from keyservice.crypto import sm2
from keyservice.store import makers
from keyservice.store.admissions import AdmissionsFile
from keyservice.store.files import PrivateDirectory
from keyservice.store.makers import Makers
from keyservice.store.state import State
from keyservice.store.throttle import ThrottleFile

#: Where libpam looks for a service's lines.
_PAM_FOLDERS = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))
_PAM_FILE = Path("/etc/pam.conf")


@dataclass(slots=True)
class Look:
    """The lines that are told, by what follows from them."""

    config: Config = field(default_factory=Config)
    wrong: list[str] = field(default_factory=list)  #: the service does not start
    idle: list[str] = field(default_factory=list)  #: a line of the configuration has no effect
    weak: list[str] = field(default_factory=list)  #: what the configuration gives up


def configuration(path: Path, *, required: bool, folder: Path = Path(ATTESTATION_DIR)) -> Look:
    """Look at the file, at the makers' certificates in `folder`, and at whether this host can do
    what the file says."""
    found = Look()
    for trusted in (True, False):  # if only the file's owner is wrong, its lines are looked at too
        try:
            found.config = load(path, required=required, trusted=trusted)
            break
        except ConfigurationError as error:
            lines = error.message.splitlines()
            found.wrong += [line for line in lines if line not in found.wrong]
    try:
        fips.check()
        sm2.engine(found.config.sm2)
    except ConfigurationError as error:
        found.wrong.append(error.message)
    for line in (*_services(found.config.rules), *_terminals(found.config.rules)):
        found.idle.append(f"{path}: {line}")
    found.idle += _makers(path, found.config.rules, makers.read(folder))
    found.weak += _weaknesses(found.config.rules)
    return found


def kept(state: State, folder: PrivateDirectory, boot: str) -> list[str]:
    """What the service would tell of the records and its state, without a change to them.

    `folder`: that of the state. `boot`: the kernel's name for this boot.
    """
    found = state.look()
    if os.path.lexists(folder.path):
        found += [str(error) for error in ThrottleFile(folder).damage()]
        try:
            AdmissionsFile(folder, boot).load()
        except UkeyError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def _services(rules: Rules) -> Iterator[str]:
    """Tables of PAM services that no program can have, or that this host does not have."""
    there = _pam_services()
    for name in rules.services:
        shown = plain(name)
        if not name or "/" in name or name != name.lower():
            yield f"services.{shown} is no PAM service: their names have small letters and no slash"
        elif there and not {name, *(a for a, b in SAME_SERVICE.items() if b == name)} & there:
            near = get_close_matches(name, sorted(there), n=1)
            hint = f"; did you mean services.{near[0]}?" if near else ""
            yield f"services.{shown}: this host has no PAM service of that name{hint}"


def _pam_services() -> set[str]:
    """The names of this host's PAM services; empty if nobody can tell."""
    names: set[str] = set()
    for folder in _PAM_FOLDERS:
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                names |= {each.name for each in folder.iterdir()}
            except OSError:
                return set()
    with suppress(OSError):
        names |= set(re.findall(r"(?m)^\s*([^#\s]\S*)\s", _PAM_FILE.read_text(errors="replace")))
    return names


def _terminals(rules: Rules) -> Iterator[str]:
    for pattern in rules.local_ttys:
        if pattern in Rules().local_ttys:
            continue
        if not consoles.can_fit(pattern):
            yield f'locality.ttys has "{plain(pattern)}", which can be no console'
        elif not consoles.is_there(pattern):
            yield f'locality.ttys has "{plain(pattern)}": this host has no such terminal now'


def _makers(path: Path, rules: Rules, found: Makers) -> Iterator[str]:
    """Files of makers that do not count; and that nobody can be bound for want of one."""
    for line in found.wrong:
        yield f"{plain(line)}; it does not count"
    if rules.attested and not found.found:
        lacking = f"{found.path} holds no maker's certificate, so nobody is bound"
        yield f"{path}: policy.attested: {lacking}"


def _weaknesses(rules: Rules) -> Iterator[str]:
    if rules.allow_virtual_readers:
        yield "virtual readers are allowed: an emulated ukey can log in"
    if rules.shared_pcsc:
        yield "pcscd is shared: local users can block ukeys and burn PIN tries"
    if (domain := selinux.domain()) not in (None, SELINUX_DOMAIN):
        yield (
            f"SELinux does not confine the keyservice, which runs as {domain}; where it enforces, "
            "login programs may not ask: /usr/libexec/ukey/selinux-module load"
        )
