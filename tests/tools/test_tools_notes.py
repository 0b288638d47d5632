# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the lists say of a row, and of none; and what is said if the keyservice cannot be run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tools.running import Commands
from tests.tools.scripted_bus import BusService
from tools.bus import Row
from tools.command import Failure
from tools.exits import Exit
from tools.ukey import accept_state
from tools.ukey.list import note, tries

FINE: Row = {"refused": False, "card": True, "kind": "gmt0017", "virtual": False}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"refused": True, "kind": None}, "reader not allowed"),
        ({"card": False, "kind": None}, "empty"),
        ({"kind": None}, "not a known ukey"),
        ({"virtual": True}, "emulated reader"),
        ({"card": None, "kind": None, "virtual": None, "refused": None}, "not yours"),
    ],
)
def test_what_is_special_about_a_reader(changed: Row, said: str) -> None:
    cell = note({**FINE, **changed})
    assert (cell if isinstance(cell, str) else cell[0]) == said


@pytest.mark.parametrize(
    ("left", "maximum", "said"),
    [(10, 10, "10 of 10 tries"), (1, 10, "1 of 10 tries"), (1, 1, "1 of 1 try")],
)
def test_the_noun_goes_by_the_number_before_it(left: int, maximum: int, said: str) -> None:
    cell = tries({"left": left, "maximum": maximum, "pause": 0})
    assert (cell if isinstance(cell, str) else cell[0]) == said


def test_a_binding_that_is_as_it_should_be_has_no_note(commands: Commands, bus: BusService) -> None:
    """Nothing can vouch yet for how a key was made: that is no news of one binding."""
    at = "2026-11-21T08:30:00Z"
    row = {"user": "alice", "uid": 1000, "serial": "9F3A", "bound_at": at, "bound_by": 0}
    bus.answers["ListBindings"] = [{**row, "attested": False, "revoked": False}]
    assert commands.piped("ukey", "bindings").stdout.splitlines()[1].endswith("root")


@pytest.mark.parametrize("uid", [0, 65534])
def test_lists_of_nothing_say_what_to_do(commands: Commands, bus: BusService, uid: int) -> None:
    bus.answers |= {"ListUkeys": [], "ListBindings": []}
    said = {
        "list": ("ukey status", "ukey watch"),
        "bindings": ("getpubkey USER", "An administrator"),
    }
    for name, texts in said.items():
        done = commands.piped("ukey", name, user=uid or None)
        assert (done.returncode, done.stdout) == (0, "")
        assert texts[uid != 0] in done.stderr


def test_a_keyservice_that_cannot_be_run_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "keyservice"
    monkeypatch.setattr(accept_state, "KEYSERVICE", os.fspath(program))
    with pytest.raises(Failure, match=r"keyservice cannot be run: No such file") as missing:
        accept_state._alone("--check-state")
    assert missing.value.exit is Exit.FAILED
    program.write_text("#!/bin/sh\necho 'keyservice: another one runs' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Failure, match=r"^another one runs") as told:
        accept_state._alone("--check-state")
    assert told.value.exit is Exit.RECORDS
