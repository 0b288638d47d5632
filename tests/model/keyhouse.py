# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real thing beside the model of ``keys``: the records, the keys and the stacks of its cases.

sshd is not real here: the program at its place sets the variable as sshd does. Real ones are in
tests/system/test_ssh_keys.py.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.access.settings import ServiceRule, SshKeys
from keyservice.crypto.ssh_keys import from_file
from keyservice.crypto.ssh_wire import SshKey
from keyservice.store.file_records import FileRecords
from keyservice.store.files import PrivateDirectory
from keyservice.store.records import Binding, Purpose, Records
from keyservice.store.revocations import Revocation
from keyservice.store.state import State as Kept
from tests.access.rig import MACHINE_ID

from .house import RULES, House, alone
from .keys import LINES, Asked, Case, Has, Shown
from .places import SPOTS
from .rules import Line, Outcome, Place

_TAKES = "auth optional pam_ukey.so take_ssh_key\n"
_NOW = "2026-01-02T03:04:05Z"
_BEFORE = {Shown.SECOND: "auth optional pam_permit.so\n"}
_SERVICE = SPOTS[Place.SSHD_ALLOWED].service


@cache
def _key(name: str) -> SshKey:
    public = Ed25519PrivateKey.generate().public_key()
    return from_file(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


#: The key that is shown.
_KEYS = {
    Shown.OWN: "own",
    Shown.SECOND: "own",
    Shown.REVOKED: "revoked",
    Shown.UNREGISTERED: "nobody's",
    Shown.ANOTHERS: "bob's",
}


def said(shown: Shown) -> str:
    """The variable, as sshd sets it."""
    if shown is Shown.NONE:
        return ""
    key = _key(_KEYS[shown])
    return f"SSH_AUTH_INFO_0=publickey {key.type} {base64.b64encode(key.blob).decode()}\n"


def _ssh(name: str, binding: Binding, user: str = "") -> Binding:
    """The record of an ssh key that was added from a file."""
    key = _key(name).key
    assert key is not None
    return replace(
        binding,
        user=user or binding.user,
        uid=binding.uid + bool(user),
        serial="",
        application="",
        container="",
        kind="ssh",
        algorithm=key.algorithm,
        public_key=key.encoded.hex(),
        purpose=Purpose.SSH,
    )


def keep(folder: Path, has: Has, ukey: Binding, *, revoked: bool = True) -> Records:
    """The records of somebody who has that, and of bob, who has an ssh key; before anything of it
    was revoked, unless it was `revoked`."""
    folder.mkdir()
    records, histories = PrivateDirectory(folder / "records"), PrivateDirectory(folder / "state")
    kept = Kept(records, histories, MACHINE_ID)
    kept.start()
    kept.bindings.add(_ssh("bob's", ukey, "bob"), limit=8)
    if has not in (Has.NOTHING, Has.KEY):
        kept.bindings.add(ukey)
    if has not in (Has.NOTHING, Has.UKEY):
        kept.bindings.add(_ssh("own", ukey), limit=8)
    if has is Has.KEY_REVOKED:
        other = _ssh("revoked", ukey)
        kept.bindings.add(other, limit=8)
        if revoked:
            kept.revocations.append(_revocation(other))
    if has is Has.UKEY_REVOKED:
        kept.revocations.append(_revocation(ukey))
    if has is Has.DAMAGED:
        path = records.path / ukey.user
        path.write_bytes(path.read_bytes()[:-20])
    started = Kept(records, histories, MACHINE_ID)
    started.start()
    return FileRecords(started)


def _revocation(binding: Binding) -> Revocation:
    return Revocation(binding.fingerprint, True, _NOW, 0, binding.user, binding.serial)


def _write_stacks(folder: Path) -> None:
    """A folder for each line and each way to take the key."""
    for line in LINES:
        for shown in Shown:
            own = _stacks(folder, line, shown)
            own.mkdir(exist_ok=True)
            own.chmod(0o755)
            for place, takes in ((Place.SSHD_ALLOWED, _TAKES), (Place.CONSOLE, "")):
                text = _BEFORE.get(shown, "") + takes + alone(line)
                (own / SPOTS[place].service).write_text(text)


def _stacks(folder: Path, line: Line, shown: Shown) -> Path:
    return folder / f"key-{line.name}{'-second' if shown in _BEFORE else ''}"


@dataclass(frozen=True)
class KeyHouse:
    """A house with the records and stacks of these cases."""

    house: House
    kept: Mapping[Has, Records]

    @classmethod
    def of(cls, house: House, folder: Path) -> KeyHouse:
        _write_stacks(house.stacks)
        ukey = house.binding
        return cls(house, {has: keep(folder / f"has-{has.name}", has, ukey) for has in Has})

    async def line(self, case: Case) -> Outcome:
        """Log in by the module's line alone."""
        stacks = _stacks(self.house.stacks, case.line, case.shown)
        rule = ServiceRule(factors_from_afar=case.asked.names)
        file = SshKeys.FILE if case.asked is Asked.NO_FILE else None
        kinds = frozenset(SshKeys) - {file}
        rules = replace(RULES, services={_SERVICE: rule}, ssh_keys=kinds)
        self.house.service.services.pam_folders = [stacks]
        records = self.kept[case.has]
        return await self.house.key(case.place, stacks, records, rules, said(case.shown))
