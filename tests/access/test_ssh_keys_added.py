# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Registering ssh keys, from files and from PIV cards, and ending that."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.threads import Budget
from keyservice.crypto.ssh_wire import SshKey, spell
from keyservice.store.records import Binding, Purpose
from tests.inprocess.pcscd import Pcscd
from tests.inprocess.pivcards import PivcardHere

from .conftest import Make
from .rig import ADMIN_PIN, IN_READERS, PIN, ROOT, WRONG, Held, Service, run
from .test_ssh_key import new_key, new_sk, refused, said, ssh

BUDGET = Budget(0, 10.0)


def file_of(key: SshKey) -> str:
    return f"{key.type} {base64.b64encode(key.blob).decode()} alice@desk\n"


async def add(service: Service, *answers: bytes, user: str = "alice", **fields: Any) -> Held:
    request = Request(operations.SSH_KEY_ADD, user, service="ukey", **fields)
    return await service.hold(request, *answers, caller=ROOT)


async def remove(service: Service, key: str, user: str = "alice", force: bool = False) -> Held:
    flags = Flag.FORCE if force else Flag(0)
    request = Request(operations.SSH_KEY_REMOVE, user, key=key, flags=flags)
    return await service.hold(request, caller=ROOT)


async def kept(service: Service) -> list[Binding]:
    return (await service.services.records.inventory(BUDGET)).bindings


def test_a_key_from_a_file_lets_in_until_it_is_removed(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        key, other = new_key(), new_sk()
        held = await add(service, public_key=file_of(key))
        assert held.code is Code.SUCCESS
        assert "You vouch for it" in held.steps[0].text
        assert key.fingerprint in held.verdict.text
        assert key.fingerprint == held.verdict.detail["ssh"]
        held = await add(service, public_key=file_of(other))
        assert held.code is Code.SUCCESS and len(held.steps) == 1  # its type says where it is
        assert [(each.kind, each.serial, each.purpose) for each in await kept(service)] == [
            ("ssh", "", Purpose.SSH),
            ("sk", "", Purpose.SSH),
        ]
        for each in (key, other):
            assert (await ssh(service, said(each))).code is Code.SUCCESS
        assert (await remove(service, key.fingerprint)).code is Code.SUCCESS
        service.lines()
        refused(service, await ssh(service, said(key)), "not one that lets this person in")
        assert (await ssh(service, said(other))).code is Code.SUCCESS
        assert (await add(service, public_key=file_of(key))).code is Code.SUCCESS

    run(tmp_path, scene)


def test_a_lost_key_is_revoked_and_cannot_be_added_again(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        key, spare = new_key(), new_key()
        for each in (key, spare):
            await add(service, public_key=file_of(each))
        mark = (await kept(service))[0].fingerprint
        held = await remove(service, mark, force=True)
        assert f"ukey revocation undo {mark}" in held.verdict.text
        service.lines()
        refused(service, await ssh(service, said(key)), "was revoked on this host")
        for user in ("alice", "bob"):
            held = await add(service, public_key=file_of(key), user=user)
            assert held.verdict.error is ErrorName.SSH_KEY_REFUSED
        assert len(await kept(service)) == 1

    run(tmp_path, scene)


def test_one_key_has_one_owner_and_eight_are_the_most(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        keys = [new_key() for _ in range(9)]
        for key in keys[:8]:
            assert (await add(service, public_key=file_of(key))).code is Code.SUCCESS
        for key, user in ((keys[0], "alice"), (keys[0], "bob"), (keys[8], "alice")):
            held = await add(service, public_key=file_of(key), user=user)
            assert held.verdict.error is ErrorName.ALREADY_BOUND
        assert len(await kept(service)) == 8

    run(tmp_path, scene)


def test_what_is_not_there_cannot_be_removed(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        await add(service, public_key=file_of(new_key()), user="bob")
        mine = service.bind(ukey)
        for key, user in (
            (new_key().fingerprint, "bob"),
            (mine.fingerprint, "alice"),  # rmpubkey is for that
            ("0" * 64, "carol"),
        ):
            held = await remove(service, key, user)
            assert held.verdict.error is ErrorName.SSH_KEY_REFUSED
            assert "ukey ssh-key list" in held.verdict.text
        assert (await remove(service, "SHA256:x", "bob")).verdict.error is ErrorName.BAD_REQUEST
        assert len(await kept(service)) == 2

    run(tmp_path, scene)


@pytest.mark.parametrize("text", ["", "nonsense", "restrict ssh-ed25519 AAAA", "ssh-dss AAAA"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    async def scene(service: Service) -> None:
        held = await add(service, public_key=text or "#\n")
        assert held.verdict.error is ErrorName.BAD_REQUEST
        assert not await kept(service)

    run(tmp_path, scene)


def test_a_piv_cards_key_signs_before_it_is_registered(
    tmp_path: Path, readers: Pcscd | None
) -> None:
    assert readers is not None
    traits: dict[str, Any] = {"pin": PIN, "admin_pin": ADMIN_PIN, "pairs": {"9A": "p256"}}
    card = PivcardHere(readers, tmp_path / "card.piv", 0, inserted=True, **traits)
    IN_READERS.append(card)

    async def scene(service: Service) -> None:
        held = await add(service, WRONG, container="9A")
        assert held.verdict.error is ErrorName.PIN_WRONG
        assert not await kept(service)
        held = await add(service, PIN, container="9A")
        assert held.code is Code.SUCCESS, held
        (binding,) = await kept(service)
        assert (binding.kind, binding.container, binding.purpose) == ("piv", "9A", Purpose.SSH)
        assert (await ssh(service, said(spell(binding.key)))).code is Code.SUCCESS
        held = await add(service, container="9A", user="bob")
        assert held.verdict.error is ErrorName.ALREADY_BOUND

    try:
        run(tmp_path, scene)
    finally:
        IN_READERS.clear()
        card.close()


def test_a_piv_card_with_the_pin_from_the_factory_is_refused(
    tmp_path: Path, readers: Pcscd | None
) -> None:
    assert readers is not None
    traits: dict[str, Any] = {"pin": b"123456", "admin_pin": ADMIN_PIN, "pairs": {"9A": "p256"}}
    card = PivcardHere(readers, tmp_path / "card.piv", 0, inserted=True, **traits)
    IN_READERS.append(card)

    async def scene(service: Service) -> None:
        held = await add(service, container="9A")
        assert held.verdict.error is ErrorName.DEFAULT_PIN
        assert not await kept(service)

    try:
        run(tmp_path, scene)
    finally:
        IN_READERS.clear()
        card.close()


def test_an_sm2_ukey_is_refused_before_its_pin_is_asked(tmp_path: Path, make: Make) -> None:
    make()

    async def scene(service: Service) -> None:
        held = await add(service)
        assert (held.verdict.error, held.prompts) == (ErrorName.BAD_REQUEST, [])
        assert "sm2" in held.verdict.text

    run(tmp_path, scene)
