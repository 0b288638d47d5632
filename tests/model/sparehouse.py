# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real thing beside the model of ``spares``: two ukeys of the person, and their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from keyservice.store.file_records import FileRecords
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding, Records
from keyservice.store.state import State as Kept
from tests.access.conftest import Make
from tests.access.rig import MACHINE_ID, PIN, WRONG, seen
from tests.support.ukeys import Softkey

from .house import RULES, House, pin_went_to, revocation
from .spares import Asked, Pair, Pin, Ukey

_TWO = replace(RULES, ukeys_per_person=2)
#: What the records say of a ukey, which differs for these alone.
_RECORDS = (Ukey.IN, Ukey.OTHER_KEY, Ukey.REVOKED)
_LEFT = {Ukey.LOCKED: 0, Ukey.LAST_TRY: 1}
_ALL_LEFT, _FEW_LEFT = 10, 5
#: The prime of SM2's curve: with (x, y), (x, p - y) is a key.
_P = (1 << 256) - (1 << 224) - (1 << 96) + (1 << 64) - 1


def _record(ukey: Ukey) -> Ukey:
    if ukey.revoked:
        return Ukey.REVOKED
    return ukey if ukey is Ukey.OTHER_KEY else Ukey.IN


def keep(folder: Path, bindings: tuple[Binding, Binding], said: tuple[Ukey, Ukey]) -> Records:
    """The records of two ukeys, of which that is said."""
    folder.mkdir()
    records, histories = PrivateDirectory(folder / "records"), PrivateDirectory(folder / "state")
    kept = Kept(records, histories, MACHINE_ID)
    kept.start()
    for binding, of in zip(bindings, said, strict=True):
        if of is Ukey.OTHER_KEY:
            binding = replace(binding, public_key=_another(binding.public_key))
        kept.bindings.add(binding, limit=len(bindings))
        if of is Ukey.REVOKED:
            kept.revocations.append(revocation(binding.fingerprint))
    return FileRecords(kept)


def _another(key: str) -> str:
    y = _P - int(key[64:], 16)
    return f"{key[:64]}{y:064x}"


@dataclass
class SpareHouse:
    """A house whose person has two ukeys."""

    house: House
    ukeys: tuple[Softkey, Softkey]
    kept: Mapping[tuple[Ukey, Ukey], Records]

    @classmethod
    async def of(cls, house: House, make: Make, folder: Path) -> SpareHouse:
        spare = make(1, serial="SN1", inserted=False)
        bindings = (house.binding, house.service.bind(spare, house.user.name))
        kept = {
            (first, second): keep(folder / f"{first.name}-{second.name}", bindings, (first, second))
            for first, second in product(_RECORDS, repeat=2)
        }
        return cls(house, (house.ukey, spare), kept)

    async def line(self, pair: Pair) -> Asked:
        """Log in by the module's line alone."""
        services = self.house.service.services
        first, second = map(_record, pair.ukeys)
        services.records, services.rules = self.kept[first, second], _TWO
        for ukey, wanted in zip(self.ukeys, pair.ukeys, strict=True):
            await self._put(ukey, wanted)
        folder = self.house.stacks / pair.line.name
        code = await self.house.code(pair.place, folder, PIN if pair.pin is Pin.RIGHT else WRONG)
        sent = (number for number, ukey in enumerate(self.ukeys) if pin_went_to(ukey))
        return Asked(code, frozenset(sent))

    async def _put(self, ukey: Softkey, wanted: Ukey) -> None:
        """Bring about that state of a ukey, unless it is there."""
        service = self.house.service
        if service.services.throttle.counts(ukey.serial):
            await service.services.throttle.reset(ukey.serial)
        there, left = bool(ukey.control.status()["inserted"]), ukey.tries_left()
        right = left == _LEFT[wanted] if wanted in _LEFT else left > _FEW_LEFT
        if there and (wanted.out or not right):
            ukey.control.remove()
            await seen(service.ukeys)
            there = False
        if not right:
            ukey.set_tries(_LEFT.get(wanted, _ALL_LEFT))
        if not there and not wanted.out:
            await service.put_in(ukey)
            await seen(service.ukeys)
        ukey.control.reset_apdus()
