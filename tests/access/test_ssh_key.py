# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``ssh-key``: which keys that sshd has verified let somebody in, and why others do
not."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.access import uniform as ticks
from keyservice.access.conversation import Caller
from keyservice.access.settings import Rules, ServiceRule, SshKeys
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.threads import Budget
from keyservice.crypto import algorithms
from keyservice.crypto.ssh_keys import from_file
from keyservice.crypto.ssh_wire import SshKey
from keyservice.store import records
from keyservice.store.records import Binding, Purpose
from keyservice.store.revocations import Revocation

from .conftest import Make
from .rig import PEOPLE, PIN, SSHD, Held, Service, run

TAKES = "auth optional pam_ukey.so take_ssh_key\n"
DECOY = Flag.UNIFORM | Flag.DECOY
NOW = "2026-01-02T03:04:05Z"
#: Seconds after the tick within which a verdict is out, on a machine that others use too.
LATE = 0.1
SK = "sk-ssh-ed25519@openssh.com"


def new_key() -> SshKey:
    public = Ed25519PrivateKey.generate().public_key()
    return from_file(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def new_sk() -> SshKey:
    string = [SK.encode(), new_key().blob[-32:], b"ssh:"]
    blob = b"".join(len(each).to_bytes(4, "big") + each for each in string)
    return from_file(f"{SK} {base64.b64encode(blob).decode()}")


def said(*keys: SshKey) -> str:
    """What sshd says when it has verified `keys`."""
    texts = [f"publickey {key.type} {base64.b64encode(key.blob).decode()}\n" for key in keys]
    return "".join(texts)


async def add(
    service: Service, key: SshKey, user: str = "alice", kind: str = "ssh", **changes: Any
) -> Binding:
    """Keep the record as if the key had been added."""
    assert key.key is not None
    binding = Binding(
        user=user,
        uid=PEOPLE[user],
        serial="SN7" if kind == "piv" else "",
        kind=kind,
        application="PIV" if kind == "piv" else "",
        container="9A" if kind == "piv" else "",
        algorithm=key.key.algorithm,
        public_key=key.key.encoded.hex(),
        attested=False,
        bound_at=NOW,
        bound_by=0,
        purpose=Purpose.SSH,
    )
    binding = replace(binding, **changes)
    await service.services.records.add(binding, Budget(0, 10.0), 8)
    return binding


async def revoke(service: Service, key: str) -> None:
    event = Revocation(key, True, NOW, 0, "alice", "")
    await service.services.records.revoke(event, Budget(0, 10.0))


async def ssh(
    service: Service,
    info: str,
    *answers: bytes,
    user: str = "alice",
    caller: Caller = SSHD,
    **fields: object,
) -> Held:
    """A login by ssh, whose sshd (`caller`) has verified what `info` says."""
    folder = service.records.path.parent / "pam.d"
    if not folder.exists():
        folder.mkdir()
        (folder / "sshd").write_text(TAKES)
    service.services.pam_folders = [folder]
    asked = {"service": "sshd", "tty": "ssh", "rhost": "192.0.2.7", **fields}
    return await service.login(*answers, user=user, caller=caller, auth_info=info, **asked)


def reason(service: Service) -> str:
    """Why the one login since the last look ended so."""
    (line,) = service.lines()
    found = re.search(r' reason="?([^"]*)', line)
    assert found is not None
    return found[1]


def refused(service: Service, held: Held, why: str) -> None:
    """Check that it was refused without a prompt, and what the log says of it."""
    assert (held.code, held.verdict.error) == (Code.AUTH_ERR, ErrorName.SSH_KEY_REFUSED)
    assert not held.prompts and held.verdict.text
    told = reason(service)
    assert re.search(why, told), told


def test_the_registered_key_lets_in_and_the_log_names_it(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        key = new_key()
        binding = await add(service, key)
        held = await ssh(service, said(key))
        assert held.steps == [Verdict(Code.SUCCESS)]
        (line,) = service.lines()
        assert f"ssh_key={key.fingerprint} key={binding.fingerprint} " in line
        assert (await ssh(service, "password\n" + said(key))).code is Code.SUCCESS
        assert (await ssh(service, said(replace(key, certified=True)))).code is Code.SUCCESS

    run(tmp_path, scene)


def test_any_of_several_verified_keys_lets_in(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        own, spare, strange = new_key(), new_sk(), new_key()
        await add(service, own)
        await add(service, spare, kind="sk")
        for keys in ((own,), (spare,), (strange, own), (own, strange), (own, spare)):
            held = await ssh(service, said(*keys))
            assert held.code is Code.SUCCESS
            shown = keys[0] if keys[0] is not strange else own
            assert f"ssh_key={shown.fingerprint} " in service.lines()[-1]

    run(tmp_path, scene)


def test_any_other_key_is_refused_and_the_log_says_why(tmp_path: Path, make: Make) -> None:
    async def scene(service: Service) -> None:
        own, hers = new_key(), new_key()
        await add(service, own)
        await add(service, hers, "bob")
        strange = new_key()
        refused(
            service,
            await ssh(service, said(strange)),
            rf"user=alice, ssh={re.escape(strange.fingerprint)}",
        )
        held = await ssh(service, said(hers))
        refused(service, held, "registered for somebody else .*owner=bob")
        assert "bob" not in held.verdict.text
        assert held.verdict.text.replace(hers.fingerprint, "") == (
            await ssh(service, said(strange))
        ).verdict.text.replace(strange.fingerprint, "")
        service.lines()
        refused(service, await ssh(service, ""), "sshd has verified no key")
        refused(service, await ssh(service, "password\nkeyboard-interactive/pam\n"), "no key")
        refused(service, await ssh(service, said(own)[:-1]), "not understood: .*newline")
        refused(service, await ssh(service, said(own).replace(" ", "  ")), "not understood")
        # of several, the one that comes closest says why
        refused(service, await ssh(service, said(strange, hers)), "owner=bob")

    run(tmp_path, scene)


def test_a_revoked_key_is_refused_in_a_record_or_in_none(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        lost, spare, gone = new_key(), new_key(), new_key()
        binding = await add(service, lost)
        await add(service, spare)
        assert gone.key is not None
        for key in (binding.fingerprint, algorithms.fingerprint(gone.key)):
            await revoke(service, key)
        refused(service, await ssh(service, said(lost)), "was revoked on this host")
        refused(service, await ssh(service, said(gone)), "was revoked on this host")
        assert (await ssh(service, said(spare))).code is Code.SUCCESS

    run(tmp_path, scene)


def test_the_policy_says_which_kinds_let_in(tmp_path: Path) -> None:
    kinds = {SshKeys.FILE: "ssh", SshKeys.SK: "sk", SshKeys.UKEY: "piv"}

    async def scene(service: Service) -> None:
        made = {which: new_sk() if kind == "sk" else new_key() for which, kind in kinds.items()}
        for which, key in made.items():
            await add(service, key, kind=kinds[which])
        for allowed in (frozenset(SshKeys), *({each} for each in SshKeys), frozenset()):
            service.services.rules = replace(service.services.rules, ssh_keys=frozenset(allowed))
            for which, key in made.items():
                held = await ssh(service, said(key))
                if which in allowed:
                    assert held.code is Code.SUCCESS
                    service.lines()
                else:
                    refused(service, held, f"does not take ssh keys of this kind.*kind={which}")

    run(tmp_path, scene)


def test_the_accepted_algorithms_are_those_of_ssh_keys_too(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        plain, sk = new_key(), new_sk()
        await add(service, plain)
        await add(service, sk, kind="sk")
        rules = service.services.rules
        service.services.rules = replace(rules, algorithms=frozenset({"ed25519"}))
        for key in (plain, sk):
            assert (await ssh(service, said(key))).code is Code.SUCCESS
        service.services.rules = replace(rules, algorithms=frozenset({"sm2", "p256"}))
        for key in (plain, sk):
            held = await ssh(service, said(key))
            assert held.verdict.error is ErrorName.ALGORITHM_REFUSED
            assert "algorithm" in held.verdict.text

    run(tmp_path, scene)


def test_without_the_first_line_of_the_stack_nothing_is_believed(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        key = new_key()
        await add(service, key)
        assert (await ssh(service, said(key))).code is Code.SUCCESS
        service.lines()
        stack = tmp_path / "pam.d/sshd"
        stack.write_text("auth required pam_env.so user_readenv=1\n" + TAKES)
        refused(service, await ssh(service, said(key)), "another auth line stands before")
        stack.unlink()
        held = await ssh(service, said(key))
        refused(service, held, "why=No such file")
        assert "administrator" in held.verdict.text

    run(tmp_path, scene)


def test_a_ukeys_key_is_none_for_ssh(tmp_path: Path, make: Make) -> None:
    """What signs a login's challenge has that purpose alone."""

    async def scene(service: Service) -> None:
        key, own = new_key(), new_key()
        await add(service, own)
        await add(service, key, kind="piv", serial="SN9", purpose=Purpose.LOGIN)
        refused(service, await ssh(service, said(key)), "the person's, but not for ssh")

    run(tmp_path, scene)


def test_somebody_without_an_ssh_key_is_told_what_is_missing(tmp_path: Path, make: Make) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await ssh(service, said(new_key()))
        assert held.verdict.error is ErrorName.FACTOR_MISSING
        assert (
            await ssh(service, said(new_key()), user="bob")
        ).verdict.error is ErrorName.NOT_ENROLLED
        await add(service, new_key())
        held = await service.login(PIN)
        assert held.code is Code.SUCCESS  # at the machine the ukey counts, as ever

    run(tmp_path, scene)


def test_what_was_revoked_meanwhile_does_not_let_in(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        key = new_key()
        binding = await add(service, key)
        store = service.services.records
        still = store.still

        async def revoked_now(held: records.Held, budget: Budget) -> records.Held | None:
            await revoke(service, binding.fingerprint)
            return await still(held, budget)

        store.still = revoked_now  # type: ignore[method-assign]
        refused(service, await ssh(service, said(key)), "was revoked")

    run(tmp_path, scene)


@pytest.mark.alone
@pytest.mark.parametrize("names", [("ssh-key",), ("ssh-key", "ukey")], ids=["ssh-key", "both"])
def test_under_uniform_nobody_sees_who_has_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """With a key, without, with somebody else's, as a decoy: the same steps at the same tick.

    A PIN is asked of everybody where some have to give one, and of nobody where none has.
    """
    monkeypatch.setattr(ticks, "TICK", 0.5)
    monkeypatch.setattr(ticks, "MARGIN", 0.1)
    services = {"sshd": ServiceRule(factors_from_afar=names)}
    rules = Rules(allow_virtual_readers=True, wait_for_ukey=0, services=services)
    answers = [PIN] if "ukey" in names else []
    prompts = ["PIN of the ukey: "] * len(answers)

    async def scene(service: Service) -> None:
        own, hers = new_key(), new_key()
        await add(service, own)
        await add(service, hers, "bob")
        cases = (
            ("alice", said(hers), Flag.UNIFORM),
            ("alice", "", Flag.UNIFORM),
            ("alice", said(own), DECOY),
            ("carol", said(own), Flag.UNIFORM),
            ("carol", "", DECOY),
            ("nobody", said(own), Flag.UNIFORM),
        )
        loop = asyncio.get_running_loop()
        for user, info, flags in cases:
            began = loop.time()
            held = await ssh(service, info, *answers, user=user, flags=flags)
            assert held.prompts == prompts
            assert held.steps[-1] == Verdict(Code.AUTH_ERR, "Authentication failed.")
            assert len(held.steps) == len(prompts) + 1
            assert 0 <= held.ended - began - 0.5 < LATE
        held = await ssh(service, said(own), *answers, flags=Flag.UNIFORM)
        assert (held.code, held.prompts) == (Code.SUCCESS, prompts)

    run(tmp_path, scene, rules)
