# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey probe``'s question: what each kind finds in each reader, without a PIN, beside logins."""

from __future__ import annotations

from pathlib import Path

import pytest
from smartcard import scard

from keyservice.access.administration import Administration, Row
from keyservice.contract.names import Code
from keyservice.core.errors import NotAllowed
from keyservice.ukeys.settings import ReaderSettings
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.pivcards import PivcardHere
from tests.softkey.link import ATR

from .conftest import READERS, Make
from .rig import ADMIN_PIN, IN_READERS, LOCKER, PIN, ROOT, Service, run

#: GM/T 0017's commands with a PIN: GetDevInfo and its like are below them.
_PIN_COMMANDS = {0x16, 0x18, 0x1A}


async def probe(service: Service) -> tuple[list[Row], list[Row]]:
    return await Administration(service.services, service.sessions, "1.2.3").probe(ROOT)


def test_each_kind_says_what_it_found(tmp_path: Path, readers: Pcscd, make: Make) -> None:
    ukey = make(label="mine")
    card = PivcardHere(readers, tmp_path / "card", 1, inserted=True, pin=PIN, admin_pin=ADMIN_PIN)
    IN_READERS.append(card)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.ukeys.settled(service.clock() + 5)
        (one, two), looks = await probe(service)
        assert one == {
            "reader": READERS[0],
            "card": True,
            "refused": False,
            "virtual": True,
            "kind": "gmt0017",
            "serial": "SN0",
            "label": "mine",
            "manufacturer": "pam-ukey tests",
            "atr": bytes(ATR).hex(),
        }
        assert (two["reader"], two["kind"]) == (READERS[1], "piv")
        known = {(str(each["reader"]), each["kind"]): each["known"] for each in looks}
        assert known[READERS[0], "gmt0017"] is True
        assert known[READERS[0], "piv"] is False
        assert known[READERS[1], "gmt0017"] is False
        assert known[READERS[1], "piv"] is True
        asked = [each["asked"] for each in looks if each["reader"] == READERS[0]]
        assert any(str(each).startswith("00a40400 6") for each in asked)
        assert all(each["points"] == "" for each in looks)
        # the ukey is as it was: no PIN command came, and it logs its owner in
        assert not {ins for ins, _ in ukey.control.apdus()} & _PIN_COMMANDS
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("traits", "points"),
    [
        ({"byte_order": "big"}, 'byte_order = "big"'),
        ({"le": "exact", "info_le": "0000"}, ""),
        ({}, ""),
    ],
)
def test_what_shows_without_a_pin_is_pointed_to(
    tmp_path: Path, make: Make, traits: dict[str, str], points: str
) -> None:
    from tests.softkey.traits import Traits

    make(traits=Traits(**traits))  # type: ignore[arg-type]

    async def scene(service: Service) -> None:
        _, looks = await probe(service)
        assert [each["points"] for each in looks if each["known"]] == [points]

    run(tmp_path, scene)


def test_what_cannot_be_asked_is_told_as_what_it_is(
    tmp_path: Path, readers: Pcscd, make: Make
) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        await service.ukeys.settled(service.clock() + 5)
        context = readers.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)[1]
        # the pool's own connection goes first: nobody gets a reader alone while others have it
        await probe(service)
        exclusive = scard.SCARD_SHARE_EXCLUSIVE
        code, handle, _ = readers.SCardConnect(context, ukey.reader, exclusive, 3)
        assert code == 0
        held, empty = (await probe(service))[0]
        assert (held["error"], held["why"]) == ("UkeyHeld", "reader-held")
        assert (empty["card"], empty.get("error"), empty.get("atr")) == (False, None, None)
        readers.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        assert "error" not in (await probe(service))[0][0]

    run(tmp_path, scene)


def test_a_refused_reader_is_not_touched(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        (row, _), looks = await probe(service)
        assert (row["refused"], row.get("atr"), looks) == (True, None, [])
        assert ukey.control.apdus() == []

    refusing = ReaderSettings(allow_virtual_readers=True, deny=("*00 00", "*00 01"))
    run(tmp_path, scene, readers=refusing)


def test_it_is_for_root(tmp_path: Path, make: Make) -> None:
    make()

    async def scene(service: Service) -> None:
        asked = Administration(service.services, service.sessions, "1.2.3")
        with pytest.raises(NotAllowed):
            await asked.probe(LOCKER)

    run(tmp_path, scene)
