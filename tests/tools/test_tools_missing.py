# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings --missing``: by the accounts of this sandbox."""

from __future__ import annotations

import json
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.restore import Restorer
from tests.tools.running import Commands
from tests.tools.scripted_bus import BusService


@pytest.fixture
def restorer() -> Iterator[Restorer]:
    made = Restorer()
    yield made
    made.restore()


def test_who_can_log_in_and_has_no_ukey(
    commands: Commands, bus: BusService, restorer: Restorer
) -> None:
    """By the real accounts: those with a shell whose password is not locked."""
    for name, shell, password in (
        ("demo", "/bin/bash", "*"),
        ("alice", "/bin/sh", "$y$j9T$x$y"),
        ("bob", "/usr/sbin/nologin", "$y$j9T$x$y"),
        ("carol", "/bin/bash", "!$y$j9T$x$y"),
        ("dave", "", ""),
    ):
        account(restorer, name, shell, password)
    uid = pwd.getpwnam("alice").pw_uid
    bus.answers["ListBindings"] = []
    found = json.loads(commands.piped("ukey", "bindings", "--missing", "--json").stdout)
    names = {row["user"]: row for row in found["missing"]}
    assert names.keys() & {"demo", "alice", "bob", "carol", "dave"} == {"alice", "dave"}
    assert names["alice"] == {"user": "alice", "uid": uid, "shell": "/bin/sh"}
    assert names["dave"]["shell"] == "/bin/sh"
    assert "nobody" not in names
    key = {"user": "alice", "uid": uid, "serial": ""}
    bus.answers["ListBindings"] = [key | {"purpose": "ssh"}]  # that is no ukey
    assert re.search(r"(?m)^alice ", commands.piped("ukey", "bindings", "--missing").stdout)
    bus.answers["ListBindings"] = [key | {"serial": "77", "purpose": "login"}]
    done = commands.piped("ukey", "bindings", "--missing")
    assert "alice" not in done.stdout
    assert re.search(r"(?m)^dave +\d+ +/bin/sh$", done.stdout)


def account(restorer: Restorer, name: str, shell: str, password: str) -> None:
    uid = 61000 + len(name) + ord(name[0])
    for path, line in (
        ("/etc/passwd", f"{name}:x:{uid}:{uid}::/:{shell}"),
        ("/etc/shadow", f"{name}:{password}:20000::::::"),
    ):
        text = Path(path).read_text()
        restorer.write(Path(path), f"{text}{line}\n", Path(path).stat().st_mode & 0o7777)
