# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real thing beside the model of ``sessions``: sessions that a ukey or an ssh key opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from keyservice.access.admissions import Admissions
from keyservice.access.settings import Rules, ServiceRule, SshKeys
from keyservice.contract.pam import PamCode
from keyservice.store.admissions import AdmissionsFile
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Records
from tests.access.rig import BOOT

from .house import RULES, House
from .keyhouse import KeyHouse, keep, said
from .keys import Has, Shown
from .places import SPOTS
from .rules import Line, Outcome, Place
from .sessions import Asked, Case, Opened

_SSHD, _SU = SPOTS[Place.SSHD_ALLOWED].service, SPOTS[Place.SU_ADMITTED].service
#: What sshd asks for, and has verified, when that opens the session.
_BY = {
    Opened.UKEY: ("ukey", Shown.NONE),
    Opened.KEY: ("ssh-key", Shown.OWN),
    Opened.OTHER_KEY: ("ssh-key", Shown.REVOKED),
}


def _rules(service: str, names: tuple[str, ...] | None, kinds: frozenset[SshKeys]) -> Rules:
    rule = ServiceRule(factors_from_afar=names)
    return replace(RULES, services={service: rule}, ssh_keys=kinds)


@dataclass
class SessionHouse:
    """A house whose person opens a session, and then calls su in it."""

    keys: KeyHouse
    before: Records  #: with all that the person ever had
    admissions: PrivateDirectory
    opened: Opened | None = None

    @classmethod
    def of(cls, house: House, folder: Path) -> SessionHouse:
        keys = KeyHouse.of(house, folder)
        before = keep(folder / "before", Has.KEY_REVOKED, house.binding, revoked=False)
        (folder / "admissions").mkdir(mode=0o700)
        return cls(keys, before, PrivateDirectory(folder / "admissions"))

    async def line(self, case: Case) -> Outcome:
        """Log in by the module's line alone."""
        if case.opened is not self.opened:
            await self._open(case.opened)
            self.opened = case.opened
        file = SshKeys.FILE if case.asked is Asked.NO_FILE else None
        rules = _rules(_SU, case.asked.names, frozenset(SshKeys) - {file})
        return await self._login(case.place, case.line, self.keys.kept[case.has], rules)

    async def _open(self, opened: Opened) -> None:
        """Nothing else has opened a session: the program at the place of sshd is always the same
        one."""
        file = AdmissionsFile(self.admissions, BOOT)
        file.save(())
        self.keys.house.service.services.admissions = Admissions(file)
        if opened is Opened.NOTHING:
            return
        name, shown = _BY[opened]
        rules = _rules(_SSHD, (name,), frozenset(SshKeys))
        place = Place.SSHD_ALLOWED
        outcome = await self._login(place, Line.HELPFUL, self.before, rules, said(shown))
        assert outcome.code == PamCode.SUCCESS

    async def _login(
        self, place: Place, line: Line, records: Records, rules: Rules, variable: str = ""
    ) -> Outcome:
        house = self.keys.house
        folder = house.stacks / f"key-{line.name}" if variable else house.stacks / line.name
        house.service.services.pam_folders = [folder]
        return await house.key(place, folder, records, rules, variable)
