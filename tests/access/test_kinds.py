# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a kind of ukey cannot do is refused in words, before a PIN is asked and a ukey is."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.access.conversation import Request
from keyservice.contract import operations
from keyservice.contract.names import Code, ErrorName, Flag
from keyservice.ukeys.gmt0017 import Gmt0017Kind
from keyservice.ukeys.kind import Ability

from .conftest import Make
from .rig import PIN, ROOT, Service, run


@pytest.fixture(autouse=True)
def _unable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of the emulated ukey can do nothing that another may not be able to do."""
    monkeypatch.setattr(Gmt0017Kind, "can", frozenset[Ability]())


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Request(operations.CHANGE_PIN), "does not change its PIN here"),
        (Request(operations.UNBLOCK_PIN, serial="SN0"), "cannot be unblocked here"),
    ],
)
def test_no_pin_is_asked_in_vain(tmp_path: Path, make: Make, request_: Request, text: str) -> None:
    ukey = make()

    async def scene(service: Service) -> None:
        service.bind(ukey)
        held = await service.hold(request_, caller=ROOT)
        assert held.kinds == ["Verdict"]
        assert held.verdict.error is ErrorName.BAD_REQUEST
        assert text in held.verdict.text
        assert (await service.login(PIN)).code is Code.SUCCESS

    run(tmp_path, scene)


def test_where_no_pair_is_made_nobody_is_told_to_have_one_made(tmp_path: Path, make: Make) -> None:
    ukey = make(containers=(), empty_containers=("spare",))

    async def scene(service: Service) -> None:
        ukey.control.reset_apdus()
        request = Request(operations.BIND, "alice", flags=Flag.GENERATE)
        held = await service.hold(request, caller=ROOT)
        assert held.kinds == ["Verdict"]
        assert held.verdict.error is ErrorName.BAD_REQUEST
        assert "this kind of ukey makes no key pair here" in held.verdict.text
        assert ukey.control.apdus() == []
        held = await service.hold(Request(operations.BIND, "alice"), caller=ROOT)
        assert held.verdict.error is ErrorName.NO_KEY_PAIR
        assert "makes none here" in held.verdict.text
        assert "--generate" not in held.verdict.text

    run(tmp_path, scene)
