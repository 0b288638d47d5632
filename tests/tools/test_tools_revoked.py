# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which revoked key is meant, by less than the whole of its fingerprint."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.running import Commands, only_json
from tests.tools.scripted_bus import BusService
from tests.tools.test_tools_ukey import KEY


@pytest.mark.parametrize("words", [KEY[:4], KEY[:12].upper(), "9F3A"])
def test_unrevoke_takes_what_names_one_key(commands: Commands, bus: BusService, words: str) -> None:
    bus.answers["ListRevocations"] = [revocation(KEY, "9F3A"), revocation("77" * 32, "abc")]
    bus.answers["Unrevoke"] = None
    done = commands.piped("ukey", "revocation", "undo", words, "--json")
    assert only_json(done.stdout) == {"ok": True, "key": KEY}
    assert bus.asked == [("ListRevocations", ()), ("Unrevoke", (KEY,))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("66c", "No revoked key has a fingerprint or a serial that fits 66c."),
        ("9f3a", "No revoked key has a fingerprint or a serial that fits 9f3a."),
        (KEY + "0", f"No revoked key has a fingerprint or a serial that fits {KEY}0."),
        ("66c7", f"66c7 fits several revoked keys:\n  {KEY}  9F3A\n  66c7{'0' * 60}  '7 7'"),
        # a serial may look like a fingerprint's beginning
        ("9999", f"9999 fits several revoked keys:\n  {'1' * 64}  9999\n  {'9' * 64}  x"),
    ],
)
def test_unrevoke_takes_nothing_that_names_no_key_or_several(
    commands: Commands, bus: BusService, words: str, said: str
) -> None:
    known = [(KEY, "9F3A"), ("66c7" + "0" * 60, "7 7"), ("1" * 64, "9999"), ("9" * 64, "x")]
    bus.answers["ListRevocations"] = [revocation(*each) for each in known]
    done = commands.piped("ukey", "revocation", "undo", words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said + "\n")
    assert [asked for asked, _ in bus.asked] == ["ListRevocations"]


def revocation(key: str, serial: str) -> dict[str, Any]:
    at = "2026-11-21T08:30:00Z"
    return {"key": key, "user": "alice", "serial": serial, "at": at, "by": 0}
