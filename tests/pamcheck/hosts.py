# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Hosts made of files, and their tables in a few letters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.running import only_json
from tools.pamcheck.check import Checked, check
from tools.pamcheck.places import Places
from tools.pamcheck.table import Cell, Table, Verdict
from tools.pamcheck.world import HERE, PLACE, Password, Ukey

_AT_HAND = {(PLACE, HERE)}
#: One letter for each cell: the right password's row, then the wrong one's; in each the ukey
#: verified, wrong, absent, not enrolled, broken.
_LETTERS = {Verdict.IN: "i", Verdict.OUT: "-", Verdict.DEPENDS: "?", Verdict.NOT_KNOWN: "~"}

#: Both factors, and nobody else.
STRICT = "i---- -----"
#: The same with break-glass.
EXAMPLE = "i???? -----"
#: The password, in any state of the ukey.
PASSWORD_ALONE = "iiiii -----"
NOBODY = "----- -----"

#: A stack that asks for both.
STRICT_STACK = "auth requisite pam_unix.so\nauth [success=ok default=die] pam_ukey.so\n"


#: Services by which the hosts' keyservice lets in from afar: test_afar has those that it refuses.
_ALLOWED = ("sshd", "su", "su-l", "sudo", "sudo-i", "polkit-1", "vlock", "other")


def letters(table: Table) -> str:
    rows = ("".join(_letter(table.cells[password, ukey]) for ukey in Ukey) for password in Password)
    return " ".join(rows)


def services(output: str) -> list[dict[str, Any]]:
    """What ``ukey pam check --json`` says of each service."""
    found = only_json(output)["services"]
    assert isinstance(found, list)
    return found


def _letter(cell: Cell) -> str:
    """test_afar has the cases in which somebody has to be at this machine."""
    return _LETTERS[Verdict.IN if cell.provided == _AT_HAND else cell.verdict]


class Host:
    """A folder that is taken for a host's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pam_d = root / "etc/pam.d"
        self.pam_d.mkdir(parents=True)
        self.places = Places(root)
        rules = (f"[services.{service}]\nfactors_from_afar = ['ukey']\n" for service in _ALLOWED)
        self.write({"etc/ukey/keyservice.toml": "".join(rules)})

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Stacks by name; a name with a slash counts from the root."""
        for name, content in files.items():
            path = self.root / name if "/" in name else self.pam_d / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def check(self, service: str, text: str | bytes | None = None) -> Checked:
        """Judge a service; `text`: its file's, which is written first."""
        if text is not None:
            self.write({service: text})
        path = self.places.find(service)
        assert path is not None, service
        return check(Places(self.root), service, path, installed=True)

    def check_file(self, service: str, path: Path) -> Checked:
        """Judge a service by this file of the host's."""
        return check(Places(self.root), service, path, installed=True)

    def letters(self, service: str, text: str | bytes | None = None) -> str:
        checked = self.check(service, text)
        assert checked.table is not None, checked.findings
        return letters(checked.table)

    def kinds(self, service: str, text: str | bytes | None = None) -> dict[str, str]:
        """Kinds of findings, and the place of the first of each below the root."""
        found: dict[str, str] = {}
        for finding in self.check(service, text).findings:
            short = finding.place.replace(f"{self.pam_d}/", "").replace(f"{self.root}/", "")
            found.setdefault(finding.kind, short)
        return found


@dataclass(frozen=True)
class Judged:
    """The report on a stack, and the host on which it lies."""

    host: Host
    checked: Checked

    @property
    def letters(self) -> str:
        """In words if there is no table."""
        table = self.checked.table
        return "not known" if table is None else letters(table)


#: A service's stack, by the service's name and the file's text.
Judge = Callable[[str, str], Judged]
