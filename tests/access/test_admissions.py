# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""In a session from afar that a ukey has opened, the same ukey is asked for again, and no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.access.conversation import Caller
from keyservice.access.sdlogin import LoginSession
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import Code, ErrorName
from keyservice.core.processes import stat_of
from keyservice.store import admissions as store
from keyservice.store.admissions import FILE
from keyservice.store.files import PrivateDirectory

from .conftest import Make
from .rig import BOOT, LOGIND, PIN, SU_BY_SSH, WRONG, Service, run

REMOTE = "192.0.2.1"
RULES = Rules(
    allow_virtual_readers=True,
    wait_for_ukey=0,
    services={"sshd": ServiceRule(factors_from_afar=("ukey",))},
)
#: Alice's, by the sshd that let her in.
SESSION = LoginSession(1000, True, "", "pts/3", "sshd", host=REMOTE)


@pytest.fixture
def sshd() -> Iterator[subprocess.Popen[str]]:
    """Stands for the process that logs in: the tests say what it does."""
    with _program("import sys; sys.stdin.read()") as program:
        yield program


@contextmanager
def _program(text: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-I", "-c", text]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def asking(pid: int) -> Caller:
    """sshd that asks for somebody: root's own, in no session."""
    return Caller(0, pid, 0, None, None, "root.sock", started=stat_of(pid).started)


async def opened(service: Service, pid: int, user: str = "alice") -> None:
    held = await service.login(PIN, user=user, caller=asking(pid), service="sshd", rhost=REMOTE)
    assert held.code is Code.SUCCESS


def led_by(service: Service, leader: int, **facts: Any) -> None:
    session = replace(SESSION, leader=leader, **facts)
    sessions: Mapping[str, LoginSession] = {"ssh": session}
    service.services.logind = replace(LOGIND, describe=sessions.get)


async def may(service: Service, *, name: str = "su", caller: Caller = SU_BY_SSH) -> None:
    held = await service.login(PIN, caller=caller, service=name)
    assert held.code is Code.SUCCESS


async def may_not(
    service: Service, *, name: str = "su", caller: Caller = SU_BY_SSH, **more: Any
) -> None:
    held = await service.login(caller=caller, service=name, **more)
    assert (held.code, held.verdict.error) == (Code.PERM_DENIED, ErrorName.REMOTE_REFUSED)


def test_the_same_ukey_is_asked_for_in_the_session_that_it_opened(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    async def scene(service: Service) -> None:
        service.bind(make())
        led_by(service, sshd.pid)
        await may_not(service)  # by a key alone, say
        await opened(service, sshd.pid)
        for name in ("su", "su-l", "sudo", "sudo-i", "vlock"):
            await may(service, name=name)
        sudo = replace(SU_BY_SSH, ruid=0)  # uid 0 throughout
        await may(service, name="sudo", caller=sudo)
        await may_not(service, rhost=REMOTE)
        await may(service)

    run(tmp_path, scene, RULES)


def test_a_child_of_the_leader_may_have_asked(tmp_path: Path, make: Make) -> None:
    """sshd's child does so for keyboard-interactive answers."""
    text = "import os, sys\nif (pid := os.fork()):\n print(pid, flush=True)\nsys.stdin.read()"

    async def scene(service: Service) -> None:
        service.bind(make())
        with _program(text) as leader:
            assert leader.stdout is not None
            child = int(leader.stdout.readline())
            led_by(service, leader.pid)
            await opened(service, child)
            await may(service)

    run(tmp_path, scene, RULES)


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
def test_another_session_is_not_it(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str], facts: dict[str, Any]
) -> None:
    async def scene(service: Service) -> None:
        service.bind(make())
        await opened(service, sshd.pid)
        led_by(service, **({"leader": sshd.pid} | facts))
        await may_not(service)
        led_by(service, sshd.pid)
        await may(service)

    run(tmp_path, scene, RULES)


def test_nobody_elses_authority_is_had_by_it(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    """Neither ``su bob`` by alice, nor ``su alice`` after she has become bob in it."""

    async def scene(service: Service) -> None:
        service.bind(make())
        service.bind(make(1), "bob")
        led_by(service, sshd.pid)
        await opened(service, sshd.pid)
        await opened(service, sshd.pid, "bob")  # even if it lets in others too
        await may_not(service, user="bob")
        bobs = replace(SU_BY_SSH, ruid=1001)
        await may_not(service, caller=bobs)
        await may_not(service, caller=bobs, user="bob")
        await may(service)

    run(tmp_path, scene, RULES)


def test_another_ukey_of_the_person_is_not_the_one(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    async def scene(service: Service) -> None:
        binding = service.bind(make())
        led_by(service, sshd.pid)
        await opened(service, sshd.pid)
        service.bindings.remove(binding)
        service.bind(make(1))
        await may_not(service)

    run(tmp_path, scene, RULES)


def test_a_leader_that_has_ended_leads_nothing(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a later process with the same number."""

    async def scene(service: Service) -> None:
        service.bind(make())
        led_by(service, sshd.pid)
        await opened(service, sshd.pid)
        (made,) = service.services.admissions._admissions
        later = replace(made, leaders=tuple((pid, ticks - 1) for pid, ticks in made.leaders))
        service.services.admissions._admissions = [later]
        await may_not(service)
        service.services.admissions._admissions = [made]
        await may(service)
        sshd.kill()
        sshd.wait(10)
        await may_not(service)

    run(tmp_path, scene, RULES)


def test_the_file_may_say_otherwise(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    services = {**RULES.services, "su": ServiceRule(factors_from_afar=())}

    async def scene(service: Service) -> None:
        service.bind(make())
        led_by(service, sshd.pid)
        await opened(service, sshd.pid)
        for name in ("su", "su-l"):
            await may_not(service, name=name)
        await may(service, name="sudo")

    run(tmp_path, scene, replace(RULES, services=services))


def test_only_a_login_from_afar_that_root_began_opens_one(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    """Nor does one that fails, or that does not say from where."""
    services = {**RULES.services, "su": ServiceRule(factors_from_afar=("ukey",))}

    async def scene(service: Service) -> None:
        service.bind(make())
        led_by(service, sshd.pid)
        afar = {"service": "su", "rhost": REMOTE}
        by_alice = replace(asking(sshd.pid), ruid=1000)
        inside = replace(asking(sshd.pid), logind_session="ssh")
        gone = replace(asking(sshd.pid), started=1)
        for caller in (by_alice, inside, gone):
            assert (await service.login(PIN, caller=caller, **afar)).code is Code.SUCCESS
        held = await service.login(PIN, caller=asking(sshd.pid), service="su")
        assert held.code is Code.SUCCESS
        held = await service.login(WRONG, caller=asking(sshd.pid), **afar)
        assert held.code is Code.AUTH_ERR
        await may_not(service, name="sudo")

    run(tmp_path, scene, replace(RULES, services=services))


@pytest.mark.parametrize("what", ["restarted", "damaged", "booted", "a disk that fails"])
def test_it_outlives_the_service_and_nothing_else(
    tmp_path: Path,
    make: Make,
    sshd: subprocess.Popen[str],
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    ukey = make()
    path = tmp_path / "state" / FILE

    async def before(service: Service) -> None:
        service.bind(ukey)
        if what == "a disk that fails":
            path.mkdir()
        await opened(service, sshd.pid)
        led_by(service, sshd.pid)
        await may(service)

    async def after(service: Service) -> None:
        led_by(service, sshd.pid)
        if what == "restarted":
            await may(service)
            return
        await may_not(service)
        await opened(service, sshd.pid)
        await may(service)

    run(tmp_path, before, RULES)
    if what == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    run(tmp_path, after, RULES, boot="another" if what == "booted" else BOOT)
    told = {"damaged": "until they log in", "a disk that fails": "until the service ends"}
    assert told.get(what, "") in caplog.text


def test_there_are_never_too_many_to_be_read(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyservice.access.admissions.ADMISSIONS_MAX", 2)

    async def scene(service: Service) -> None:
        service.bind(make())
        with (
            _program("import sys; sys.stdin.read()") as first,
            _program("import sys; sys.stdin.read()") as second,
            _program("import sys; sys.stdin.read()") as third,
        ):
            for sshd in (first, second, third):
                await opened(service, sshd.pid)
            for sshd, asked in ((first, False), (second, True), (third, True)):
                led_by(service, sshd.pid)
                await (may if asked else may_not)(service)
            first.kill()

    run(tmp_path, scene, RULES)
    largest = store.Admission(2**32 - 2, "S" * 64, "", ((2**22, 2**62), (2**22, 2**62)))
    folder = PrivateDirectory(tmp_path / "large")
    folder.prepare()
    file = store.AdmissionsFile(folder, "0" * 36)
    file.save([largest] * store.ADMISSIONS_MAX)
    assert file.load() == [largest] * store.ADMISSIONS_MAX


def test_of_two_ukeys_the_one_that_opened_the_session_is_asked_for_again(
    tmp_path: Path, make: Make, sshd: subprocess.Popen[str]
) -> None:
    first, second = make(), make(1)

    async def scene(service: Service) -> None:
        service.bind(first)
        service.bind(second)
        first.remove()
        await opened(service, sshd.pid)
        led_by(service, sshd.pid)
        await service.put_in(first)
        held = await service.login(PIN, caller=SU_BY_SSH, service="su")
        assert (held.code, held.prompts) == (Code.SUCCESS, ["PIN of ukey SN1: "])
        second.remove()
        held = await service.login(caller=SU_BY_SSH, service="su")
        assert held.verdict.error is ErrorName.UKEY_ABSENT

    run(tmp_path, scene, RULES)
