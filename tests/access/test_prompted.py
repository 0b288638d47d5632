# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""If only prompts reach a person, these say what must be known."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyservice.access import presence, prompted
from keyservice.access.settings import Rules, ServiceRule
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.core.processes import stat_of
from tests.support.ukeys import Softkey

from .conftest import Make
from .rig import CANCEL, GETTY, PIN, WRONG, Service, login, run

#: sudo tells PAM to be silent. sshd does not, and tells nobody anything until it asks or fails.
SUDO: dict[str, Any] = {"service": "sudo", "flags": Flag.SILENT}
SSHD: dict[str, Any] = {"service": "sshd"}
PIN_PROMPT = "PIN of ukey SN0: "
RULES = Rules(
    allow_virtual_readers=True,
    throttle_after=2,
    services={
        "login": ServiceRule(wait_for_ukey=0),
        "sshd": ServiceRule(factors_from_afar=("ukey",)),
    },
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ukeys of these tests are seen at once."""
    monkeypatch.setattr(presence, "_MOMENT", 0.3)


def program() -> Any:
    """A program of root's that goes on from one attempt to the next: this one."""
    return replace(GETTY, pid=os.getpid(), started=stat_of(os.getpid()).started)


@pytest.mark.parametrize("how", [SUDO, SSHD], ids=["silent", "sshd"])
def test_a_person_is_asked_to_insert_it_and_to_press_enter(
    tmp_path: Path, make: Make, how: dict[str, Any]
) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)

        def insert() -> bytes:
            ukey.control.insert()
            return b""

        held = await service.login(b"", insert, PIN, **how)
        ask = "Insert ukey SN0. Then press Enter: "
        assert held.code is Code.SUCCESS
        assert [text.splitlines()[-1] for text in held.prompts] == [ask, ask, PIN_PROMPT]
        assert held.kinds == ["Prompt"] * 3 + ["Verdict"]

    run(tmp_path, scene, RULES)


def test_a_pin_that_was_typed_at_once_goes_nowhere(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        for answers in ([PIN] * 3, [b""] * 3):
            held = await service.login(*answers, **SUDO)
            assert (held.code, held.verdict.error) == (
                Code.AUTHINFO_UNAVAIL,
                ErrorName.UKEY_ABSENT,
            )
        held = await service.login(CANCEL, **SUDO)
        assert held.code is Code.CONV_ERR
        assert ukey.control.apdus() == []

    run(tmp_path, scene, replace(RULES, wait_for_ukey=1))


def test_nobody_is_asked_to_insert_it_where_that_is_not_waited_for(
    tmp_path: Path, make: Make
) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(b"", **SUDO | {"service": "login"})
        [said] = held.prompts
        assert said == "Ukey SN0 is not inserted. Insert it and try again. Press Enter: "
        assert held.code is Code.AUTHINFO_UNAVAIL

    run(tmp_path, scene, RULES)


def test_why_the_last_attempt_failed_is_said_with_the_next_prompt(
    tmp_path: Path, ukey: Softkey
) -> None:
    """Once, and to the same person."""

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(WRONG, caller=program(), **SUDO)
        assert (held.code, held.prompts) == (Code.AUTH_ERR, [PIN_PROMPT])
        await service.login(b"", user="bob", caller=program(), **SUDO)
        held = await service.login(PIN, caller=program(), **SUDO)
        few = "PIN of ukey SN0 (9 tries left): "
        assert held.prompts == [f"The PIN is wrong. 9 tries are left.\n{few}"]
        assert held.code is Code.SUCCESS
        held = await service.login(PIN, caller=program(), **SUDO)
        assert held.prompts == [PIN_PROMPT]

    run(tmp_path, scene, RULES)


def test_a_failure_is_old_after_a_while_and_another_programs_never(
    tmp_path: Path, ukey: Softkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompted, "KEPT", 0.0)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        await service.login(WRONG, caller=program(), **SUDO)
        held = await service.login(PIN, caller=program(), **SUDO)
        assert "wrong" not in held.prompts[0]
        monkeypatch.setattr(prompted, "KEPT", 60.0)
        await service.login(WRONG, caller=program(), **SUDO)
        held = await service.login(PIN, caller=replace(program(), started=1), **SUDO)
        assert "wrong" not in held.prompts[0]

    run(tmp_path, scene, RULES)


def test_failures_that_are_kept_are_not_ever_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompted, "KEPT_MAX", 2)

    async def scene(service: Service) -> None:
        failures = service.services.failures
        for name in ("a", "b", "c"):
            failures.keep(program(), login(name), name)
        assert len(failures._kept) <= 2
        assert [failures.take(program(), login(name)) for name in ("a", "c", "c")] == [
            [],
            ["c"],
            [],
        ]

    run(tmp_path, scene, RULES)


def test_a_failure_without_a_prompt_has_one_of_its_own(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(2):
            await service.login(WRONG, caller=program(), **SUDO)
        held = await service.login(b"", caller=program(), **SUDO)
        assert (held.code, held.verdict.error) == (Code.MAXTRIES, ErrorName.THROTTLED)
        [said] = held.prompts
        assert said.startswith("The PIN is wrong. 8 tries are left.\n")  # of the attempt before
        assert said.endswith(" Press Enter: ")
        assert "pauses" in said or "seconds" in said, said
        held = await service.login(CANCEL, caller=program(), **SUDO)
        assert held.code is Code.MAXTRIES  # for any answer

    run(tmp_path, scene, RULES)


def test_ssh_shows_a_failure_by_itself(tmp_path: Path, ukey: Softkey) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        for _ in range(2):
            held = await service.login(WRONG, caller=program(), **SSHD)
            assert held.kinds == ["Prompt", "Verdict"]
        held = await service.login(caller=program(), **SSHD)
        assert held.kinds == ["Verdict"]

    run(tmp_path, scene, RULES)


def test_whoever_sees_texts_is_told_by_texts(tmp_path: Path, make: Make) -> None:
    ukey = make(inserted=False)

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login(service="su")
        assert held.kinds == ["Wait", "Verdict"]

    run(tmp_path, scene, replace(RULES, wait_for_ukey=1))


@pytest.mark.parametrize("flags", [Flag.UNIFORM, Flag.UNIFORM | Flag.DECOY])
def test_uniform_says_nothing(tmp_path: Path, ukey: Softkey, flags: Flag) -> None:
    async def scene(service: Service) -> None:
        service.bind(ukey)
        service.services.failures.keep(program(), login(), "what no prompt may say")
        held = await service.login(
            WRONG, caller=program(), service="sshd", flags=flags | Flag.SILENT
        )
        assert held.kinds == ["Prompt", "Verdict"]
        assert held.prompts == ["PIN of the ukey: "]

    run(tmp_path, scene, RULES)
