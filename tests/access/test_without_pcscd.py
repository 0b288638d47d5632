# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rules without pcscd: nothing in this file starts it. Processes are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.access.administration import Administration
from keyservice.access.settings import Rules
from keyservice.access.uniform import TICK
from keyservice.contract.names import Code, ErrorName
from tests.support.ukeys import Softkey

from .rig import PIN, ROOT, Service, run, uniform


@pytest.fixture(autouse=True)
def readers() -> None:
    """The real ones: none."""


@pytest.mark.alone
def test_logins_are_unavailable_and_say_so(tmp_path: Path) -> None:
    ukey = Softkey(tmp_path / "0.ukey", 0, pin=PIN, admin_pin=None, inserted=False, serial="SN0")
    ukey.close()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.login()
        assert (held.code, held.verdict.error) == (Code.AUTHINFO_UNAVAIL, ErrorName.READER_ABSENT)
        assert held.kinds == ["Info", "Wait", "Verdict"]  # told at once: it may come up, or not
        assert "pcscd" in held.steps[0].text
        assert held.verdict.text == held.steps[0].text
        held = await service.hold(uniform(), PIN)
        assert (held.code, held.verdict.text) == (Code.AUTH_ERR, "Authentication failed.")
        assert 0 <= held.ended - held.answered - TICK < 0.1

    run(tmp_path, scene, Rules(allow_virtual_readers=True, wait_for_ukey=1))


def test_the_status_says_so(tmp_path: Path) -> None:
    async def scene(service: Service) -> None:
        row = await Administration(service.services, service.sessions, "1").status(ROOT)
        assert (row["pcscd"], row["readers"]) == (False, 0)

    run(tmp_path, scene)
