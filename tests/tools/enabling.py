# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Runs of ``ukey pam enable`` and ``disable``, on a host with Debian's own stacks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pamedit.debian import STACKS
from tests.support import CHECKOUT
from tests.support.enrolled import CONFIG, Enrolled
from tests.support.people import User
from tests.support.process import Daemon, must, run
from tests.support.shared_host import Shared
from tests.support.terminal import Terminal
from tests.tools.running import COMMANDS, only_json
from tools.pamedit import files

PAM_D = Path("/etc/pam.d")
DROP_IN = Path("/etc/ssh/sshd_config.d/10-ukey.conf")
SERVICES = ("login", "su", "sshd")
UKEY = COMMANDS["ukey"]


@pytest.fixture
def buses() -> list[Daemon]:
    """The system bus that a test runs on."""
    return []


@pytest.fixture
def debian(shared: Shared, buses: list[Daemon]) -> Iterator[Enrolled]:
    """Debian's own stacks, and the system bus."""
    with shared.test(CONFIG) as made:
        for service in SERVICES:
            made.host.pam.stack(service, STACKS[service])
        made.host.keep(*(path for path in PAM_D.iterdir() if path.is_file()))
        made.host.keep(*(path for path in Path("/var/lib/pam").iterdir() if path.is_file()))
        Path("/run/sshd").mkdir(exist_ok=True)  # without it, sshd tells nothing of itself
        made.host.keep(DROP_IN)
        shutil.copy(CHECKOUT / "pam.d-examples/sshd_config.d/10-ukey.conf", DROP_IN)
        buses.append(made.bus())
        yield made
        shutil.rmtree(files.BACKUPS, ignore_errors=True)
        run(["rmdir", "/var/backups/ukey"])


@pytest.fixture
def rescue(debian: Enrolled) -> User:
    """The second way in."""
    if run(["getent", "group", "ukey-breakglass"]).returncode:
        must(["groupadd", "--system", "ukey-breakglass"])
    return debian.host.user("rescue", groups=["ukey-breakglass"])


def asked(terminal: Terminal, answers: list[str], *words: str) -> tuple[int, str]:
    """The exit status, and all that was on the screen."""
    terminal.start([UKEY, "pam", *words])
    terminal.converse(answers, seconds=50)
    assert terminal.status is not None
    return terminal.status, terminal.screen


def refused(*words: str) -> tuple[int, dict[str, Any]]:
    """Of a run that asks nothing, and changes nothing."""
    before = {path: path.read_bytes() for path in PAM_D.iterdir()}
    done = run([UKEY, "pam", *words, "--json"], seconds=50)
    assert {path: path.read_bytes() for path in PAM_D.iterdir()} == before
    assert not files.BACKUPS.exists()
    return done.returncode, only_json(done.stdout)
