# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which factors are asked for, and what is said to people who have others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from keyservice.access.asking import Asking, asking
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.store.records import Purpose
from tests.access import stores
from tests.access.conftest import Make
from tests.access.rig import GETTY, SSHD, SU_BY_SSH, Service, run

RULES = Rules(allow_virtual_readers=True, wait_for_ukey=0)
FAR = {"service": "sshd", "tty": "ssh", "rhost": "192.0.2.1"}


@pytest.mark.parametrize(
    ("service", "local", "host", "found"),
    [
        ("login", True, False, Asking(("ukey",))),
        ("sshd", False, True, Asking(("ssh-key",))),
        ("sshd", False, False, Asking(("ssh-key", "ukey"), admitted=True)),
        ("su", False, False, Asking(("ukey",), admitted=True)),
        ("su", False, True, Asking(())),
    ],
)
def test_without_a_line_in_the_configuration(
    service: str, local: bool, host: bool, found: Asking
) -> None:
    assert asking(Rules(), service, local=local, host=host) == found


@pytest.mark.parametrize("host", [True, False])
def test_a_list_is_taken_as_it_is(host: bool) -> None:
    """It is not only for sessions that the ukey opened, and not for those either, if empty."""
    services = {"sshd": ServiceRule(None, ("ukey", "ssh-key")), "su": ServiceRule((), ())}
    rules = Rules(services=services)
    assert asking(rules, "sshd", local=False, host=host) == Asking(("ukey", "ssh-key"))
    for local in (True, False):
        assert asking(rules, "su", local=local, host=host) == Asking(())
    assert asking(rules, "sudo", local=True, host=host) == Asking(("ukey",))


@pytest.mark.parametrize("flags", [Flag(0), Flag.NOUSEROK])
def test_an_ssh_key_is_no_ukey_and_its_owner_is_never_not_enrolled(
    tmp_path: Path, make: Make, flags: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "of", stores.in_memory)

    async def scene(service: Service) -> None:
        service.bind(make(), purpose=Purpose.SSH)
        held = await service.login(caller=GETTY, flags=flags)
        assert held.code is Code.PERM_DENIED
        assert held.verdict.error is ErrorName.FACTOR_MISSING
        assert "your ssh key is for ssh" in held.text
        held = await service.login(caller=SU_BY_SSH, service="su", tty="pts/0", flags=flags)
        assert held.verdict.error is ErrorName.REMOTE_REFUSED

    run(tmp_path, scene, RULES)


def test_a_ukey_is_no_ssh_key(tmp_path: Path, make: Make) -> None:
    async def scene(service: Service) -> None:
        service.bind(make())
        held = await service.login(caller=SSHD, flags=Flag.NOUSEROK, **FAR)
        assert (held.code, held.verdict.error) == (Code.PERM_DENIED, ErrorName.FACTOR_MISSING)
        assert "only an ssh key lets you in" in held.text

    run(tmp_path, scene, RULES)


@pytest.mark.parametrize("flags", [Flag(0), Flag.NOUSEROK])
def test_a_list_without_factors_lets_in_nobody_who_is_enrolled(
    tmp_path: Path, make: Make, flags: Flag
) -> None:
    services = {"login": ServiceRule(factors=()), "sshd": ServiceRule(factors_from_afar=())}

    async def scene(service: Service) -> None:
        service.bind(make())
        held = await service.login(caller=GETTY, flags=flags)
        assert held.verdict.error is ErrorName.FACTOR_MISSING
        assert "'factors' of login is empty" in held.text
        held = await service.login(caller=SSHD, flags=flags, **FAR)
        assert held.verdict.error is ErrorName.REMOTE_REFUSED
        held = await service.login(caller=GETTY, flags=flags, user="bob")
        assert held.code is (Code.IGNORE if flags else Code.USER_UNKNOWN)

    run(tmp_path, scene, dataclasses.replace(RULES, services=services))
