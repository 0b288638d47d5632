# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Lists mark bindings that are not what they seem, with a scripted keyservice on the real bus."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tools.running import Commands
from tests.tools.scripted_bus import BusService
from tests.tools.test_tools_ukey import ALICES


@pytest.mark.parametrize(
    ("facts", "english", "chinese"),
    [
        ({"revoked": True}, "revoked: not accepted", "已吊销"),
        ({"algorithm_refused": True}, "not accepted: policy.algorithms", "不接受"),
        ({"account": "gone"}, "no such user any more", "已没有该用户"),
        (
            {"account": "renumbered", "uid_now": 1007},
            "the user's number is 1007 now",
            "该用户的编号现为 1007",
        ),
        (
            {"account": "taken", "user_now": "bob", "revoked": True},
            "revoked: not accepted; the user is gone, and the number is bob's now",
            "其编号现属于 bob",
        ),
    ],
)
def test_lists_mark_what_is_wrong_with_a_binding(
    commands: Commands, bus: BusService, facts: dict[str, Any], english: str, chinese: str
) -> None:
    row = {**ALICES, **facts}
    binding = {"user": "alice", "uid": 1000, "serial": "9F", "attested": False, "bound_by": 0}
    bus.answers["ListUkeys"] = [row]
    bus.answers["ListBindings"] = [{**binding, "bound_at": "2026-11-05T08:00:00Z", **facts}]
    for command in ("list", "bindings"):
        assert f"  {english}\n" in commands.piped("ukey", command).stdout
        shown = commands.piped("ukey", command, environment={"LANG": "zh_CN.UTF-8"}).stdout
        assert chinese in shown
        (found,) = list(json.loads(commands.piped("ukey", command, "--json").stdout).values())[1]
        assert facts.items() <= found.items()
