# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``session``: in a session that a registered ssh key has opened, its person needs
nothing more, where the configuration says so."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import uniform as ticks
from keyservice.access.conversation import Caller
from keyservice.access.settings import Rules, ServiceRule, SshKeys
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.contract.steps import Verdict
from keyservice.core.threads import Budget
from keyservice.core.username import Person
from keyservice.crypto.ssh_wire import SshKey
from keyservice.store import records
from keyservice.store.admissions import FILE
from keyservice.store.records import Binding

from .conftest import Make
from .rig import BOOT, PIN, SU_BY_SSH, Held, Service, run
from .test_admissions import REMOTE, asking, led_by, opened
from .test_admissions import sshd as sshd  # a fixture
from .test_ssh_key import LATE, add, new_key, reason, revoke, said, ssh

Program = subprocess.Popen[str]
SUDO = replace(SU_BY_SSH, ruid=0)  #: uid 0 throughout, and alice's login uid
ALICE = Person("alice", 1000)
DECOY = Flag.UNIFORM | Flag.DECOY


def rules(*names: str, sshd: tuple[str, ...] = ("ssh-key",)) -> Rules:
    """Those of a host whose sudo and su ask for `names`."""
    rule = ServiceRule(factors_from_afar=names)
    services = {"sudo": rule, "su": rule, "sshd": ServiceRule(factors_from_afar=sshd)}
    return Rules(allow_virtual_readers=True, wait_for_ukey=0, services=services)


SESSION = rules("session")
UNSAID = replace(SESSION, services={})


async def by_key(service: Service, pid: int, user: str = "alice") -> tuple[SshKey, Binding]:
    """Register a key, and let `user` in with it by the sshd `pid`, which leads the session."""
    key = new_key()
    binding = await add(service, key, user)
    await let_in(service, pid, key, user)
    return key, binding


async def let_in(service: Service, pid: int, key: SshKey, user: str = "alice") -> None:
    led_by(service, pid)
    held = await ssh(service, said(key), user=user, caller=asking(pid), rhost=REMOTE)
    assert held.code is Code.SUCCESS
    service.lines()


async def sudo(
    service: Service, *answers: bytes, name: str = "sudo", caller: Caller = SUDO, **fields: Any
) -> Held:
    return await service.login(*answers, caller=caller, service=name, tty="pts/3", **fields)


async def may(service: Service, **fields: Any) -> None:
    held = await sudo(service, **fields)
    assert held.steps == [Verdict(Code.SUCCESS)]


async def may_not(
    service: Service, error: ErrorName = ErrorName.REMOTE_REFUSED, **fields: Any
) -> Held:
    held = await sudo(service, **fields)
    assert held.verdict.error is error
    assert held.code in (Code.PERM_DENIED, Code.AUTH_ERR) and not held.prompts
    return held


def test_in_it_nothing_more_is_asked_for(tmp_path: Path, sshd: Program) -> None:
    async def scene(service: Service) -> None:
        key = new_key()
        binding = await add(service, key)
        led_by(service, sshd.pid)
        held = await may_not(service)
        assert "Log in again by ssh" in held.text
        await let_in(service, sshd.pid, key)
        for name in ("sudo", "sudo-i"):
            await may(service, name=name)
        assert f"key={binding.fingerprint} " in service.lines()[-1]
        for name in ("su", "su-l"):
            await may(service, name=name, caller=SU_BY_SSH)
        await may_not(service, rhost=REMOTE)

    run(tmp_path, scene, SESSION)


@pytest.mark.parametrize("has_ukey", [False, True])
@pytest.mark.parametrize("flags", [Flag(0), Flag.NOUSEROK])
def test_unless_the_configuration_says_so_it_counts_for_nothing(
    tmp_path: Path, make: Make, sshd: Program, has_ukey: bool, flags: Flag
) -> None:
    """Root reads in the log what would allow it."""
    line = "[services.sudo] factors_from_afar = ['session']"

    async def scene(service: Service) -> None:
        if has_ukey:
            service.bind(make())
        key = new_key()
        await add(service, key)
        led_by(service, sshd.pid)
        await may_not(service, flags=flags)
        assert line not in reason(service)
        await let_in(service, sshd.pid, key)
        await may_not(service, flags=flags)
        assert line in reason(service)

    run(tmp_path, scene, UNSAID)


@pytest.mark.parametrize("flags", [Flag(0), Flag.NOUSEROK, Flag.UNIFORM])
@pytest.mark.parametrize("spare", [False, True])
def test_a_key_that_was_removed_has_opened_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sshd: Program,
    flags: Flag,
    spare: bool,
) -> None:
    """Without another key the person has no factor left; they are none of ``nouserok``'s."""
    monkeypatch.setattr(ticks, "TICK", 0.2)
    monkeypatch.setattr(ticks, "MARGIN", 0.05)

    async def scene(service: Service) -> None:
        _key, binding = await by_key(service, sshd.pid)
        if spare:
            await add(service, new_key())
        await may(service, flags=flags)
        service.lines()
        service.bindings.remove(binding)
        held = await sudo(service, flags=flags)
        assert held.code not in (Code.SUCCESS, Code.IGNORE) and not held.prompts
        assert ("not registered any more" in reason(service)) is spare

    run(tmp_path, scene, SESSION)


def test_a_key_that_was_revoked_has_opened_nothing(tmp_path: Path, sshd: Program) -> None:
    async def scene(service: Service) -> None:
        key, binding = await by_key(service, sshd.pid)
        await add(service, new_key())
        await may(service)
        await revoke(service, binding.fingerprint)
        service.lines()
        held = await may_not(service, ErrorName.SSH_KEY_REFUSED)
        assert key.fingerprint in held.text and "was revoked on this host" in reason(service)

    run(tmp_path, scene, SESSION)


def test_what_is_changed_while_it_is_looked_at_counts(tmp_path: Path, sshd: Program) -> None:
    async def scene(service: Service) -> None:
        _key, binding = await by_key(service, sshd.pid)
        store = service.services.records
        still = store.still

        async def revoked_now(held: records.Held, budget: Budget) -> records.Held | None:
            await revoke(service, binding.fingerprint)
            return await still(held, budget)

        async def ended_now(held: records.Held, budget: Budget) -> records.Held | None:
            led_by(service, sshd.pid, state="closing")
            return await still(held, budget)

        store.still = ended_now  # type: ignore[method-assign]
        await may_not(service)
        led_by(service, sshd.pid)
        store.still = revoked_now  # type: ignore[method-assign]
        await may_not(service, ErrorName.SSH_KEY_REFUSED)

    run(tmp_path, scene, SESSION)


def test_the_policy_of_now_decides(tmp_path: Path, sshd: Program) -> None:
    async def scene(service: Service) -> None:
        await by_key(service, sshd.pid)
        services, held = service.services, SESSION
        services.rules = replace(held, ssh_keys=frozenset({SshKeys.SK, SshKeys.UKEY}))
        await may_not(service, ErrorName.SSH_KEY_REFUSED)
        services.rules = replace(held, algorithms=frozenset({"sm2"}))
        await may_not(service, ErrorName.ALGORITHM_REFUSED)
        services.rules = held
        await may(service)

    run(tmp_path, scene, SESSION)


def test_it_is_one_persons_own(tmp_path: Path, sshd: Program) -> None:
    """Neither ``su bob`` by alice, nor what bob begins in it, nor ``su alice`` by bob."""

    async def scene(service: Service) -> None:
        await by_key(service, sshd.pid)
        await by_key(service, sshd.pid, "bob")  # even if it lets in others too
        bobs = replace(SU_BY_SSH, ruid=1001)
        for user, caller in (("bob", SU_BY_SSH), ("bob", SUDO), ("bob", bobs), ("alice", bobs)):
            await may_not(service, user=user, caller=caller, name="su")
        await may(service)

    run(tmp_path, scene, SESSION)


@pytest.mark.parametrize(
    "facts",
    [
        {"uid": 1001},
        {"state": "closing"},
        {"kind": "background"},
        {"by_setuid": True},
        {"leader": 1},
        {"leader": 0},
    ],
    ids=str,
)
def test_another_session_is_not_it(tmp_path: Path, sshd: Program, facts: dict[str, Any]) -> None:
    async def scene(service: Service) -> None:
        await by_key(service, sshd.pid)
        led_by(service, **({"leader": sshd.pid} | facts))
        await may_not(service)
        await may_not(service, caller=replace(SUDO, logind_session=None))
        led_by(service, sshd.pid)
        await may(service)
        sshd.kill()
        sshd.wait(10)
        await may_not(service)

    run(tmp_path, scene, SESSION)


@pytest.mark.parametrize("what", ["restarted", "damaged", "neither", "both", "booted"])
def test_it_outlives_the_service_and_nothing_else(
    tmp_path: Path, sshd: Program, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    path = tmp_path / "state" / FILE

    async def before(service: Service) -> None:
        await by_key(service, sshd.pid)

    async def after(service: Service) -> None:
        led_by(service, sshd.pid)
        await (may if what == "restarted" else may_not)(service)

    run(tmp_path, before, SESSION)
    kept = json.loads(path.read_text())
    (row,) = kept["admitted"]
    changed = {"neither": {"key": ""}, "both": {"serial": "SN1"}, "damaged": {"key": 1}}
    row.update(changed.get(what, {}))
    path.write_text(json.dumps(kept))
    run(tmp_path, after, SESSION, boot="another" if what == "booted" else BOOT)
    assert ("log in again" in caplog.text) is (what in changed)


def test_the_file_of_an_older_service_is_read(tmp_path: Path, make: Make, sshd: Program) -> None:
    """It knows ukeys alone. One of a newer service counts for nothing."""
    ukey, path = make(), tmp_path / "state" / FILE
    asks = rules(sshd=("ukey",))
    asks = replace(asks, services={"sshd": asks.services["sshd"]})

    async def before(service: Service) -> None:
        service.bind(ukey)
        led_by(service, sshd.pid)
        await opened(service, sshd.pid)

    def after(code: Code) -> None:
        async def scene(service: Service) -> None:
            led_by(service, sshd.pid)
            answers = [PIN] if code is Code.SUCCESS else []
            assert (await sudo(service, *answers)).code is code

        run(tmp_path, scene, asks)

    run(tmp_path, before, asks)
    kept = json.loads(path.read_text())
    del kept["admitted"][0]["key"]
    path.write_text(json.dumps({**kept, "version": 1}))
    after(Code.SUCCESS)
    path.write_text(json.dumps({**kept, "version": 3}))
    after(Code.PERM_DENIED)


@pytest.mark.parametrize("first", ["ukey", "ssh-key"])
@pytest.mark.parametrize("names", [("session",), ("session", "ukey"), ("ukey", "session")], ids=str)
def test_of_a_ukey_and_an_ssh_key_the_list_decides(
    tmp_path: Path, make: Make, sshd: Program, first: str, names: tuple[str, ...]
) -> None:
    """A session that a ukey has opened is none that an ssh key has."""

    async def scene(service: Service) -> None:
        service.bind(make())
        key = new_key()
        await add(service, key)
        if first == "ukey":
            led_by(service, sshd.pid)
            await opened(service, sshd.pid)
        else:
            await let_in(service, sshd.pid, key)
        if names[0] == "ukey":
            held = await sudo(service, PIN)
            assert (held.code, held.prompts) == (Code.SUCCESS, ["PIN of ukey SN0: "])
        else:
            await (may_not if first == "ukey" else may)(service)

    run(tmp_path, scene, rules(*names, sshd=(first,)))


def test_an_ssh_key_does_not_make_it_a_ukeys_session(tmp_path: Path, sshd: Program) -> None:
    async def scene(service: Service) -> None:
        await by_key(service, sshd.pid)
        admissions, logind = service.services.admissions, service.services.logind
        assert admissions.key(SUDO, logind, ALICE)
        assert not admissions.cover(SUDO, logind, ALICE, "")

    run(tmp_path, scene, UNSAID)


@pytest.mark.parametrize("flags", [Flag(0), Flag.NOUSEROK])
def test_somebody_with_a_ukey_alone_is_told_what_is_missing(
    tmp_path: Path, make: Make, sshd: Program, flags: Flag
) -> None:
    async def scene(service: Service) -> None:
        service.bind(make())
        led_by(service, sshd.pid)
        held = await may_not(service, ErrorName.FACTOR_MISSING, flags=flags)
        assert "only an ssh key lets you in" in held.text
        held = await sudo(service, user="bob", flags=flags)
        assert held.code is (Code.IGNORE if flags else Code.USER_UNKNOWN)

    run(tmp_path, scene, SESSION)


@pytest.mark.alone
def test_under_uniform_nobody_sees_who_has_opened_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sshd: Program
) -> None:
    monkeypatch.setattr(ticks, "TICK", 0.3)
    monkeypatch.setattr(ticks, "MARGIN", 0.1)

    async def scene(service: Service) -> None:
        key = new_key()
        await add(service, key)
        led_by(service, sshd.pid)
        loop = asyncio.get_running_loop()

        async def fails(user: str, flags: Flag) -> None:
            began = loop.time()
            held = await sudo(service, user=user, flags=flags)
            assert held.steps == [Verdict(Code.AUTH_ERR, "Authentication failed.")]
            assert 0 <= held.ended - began - 0.3 < LATE

        await fails("alice", Flag.UNIFORM)
        await let_in(service, sshd.pid, key)
        await fails("alice", DECOY)
        for user in ("bob", "nobody"):
            await fails(user, Flag.UNIFORM)
            await fails(user, DECOY)
        await may(service, flags=Flag.UNIFORM)

    run(tmp_path, scene, SESSION)
