# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The sockets themselves: made with their modes, or handed over."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keyservice.core.errors import ConfigurationError
from keyservice.servers import listeners
from tests.servers.serverkit import (
    ScriptedSessions,
    serving,
)


def test_the_sockets_have_their_modes_and_leave_nothing(place: Path) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            assert stat.S_IMODE(place.stat().st_mode) == 0o755
            assert stat.S_IMODE((place / "root.sock").stat().st_mode) == 0o600
            assert stat.S_IMODE((place / "user.sock").stat().st_mode) == 0o666
            assert stat.S_IMODE((place / ".lock").stat().st_mode) == 0o600
            names = sorted(each.name for each in place.iterdir())
            assert names == [".lock", "root.sock", "user.sock"]
            with pytest.raises(ConfigurationError, match="another keyservice"):
                listeners.create(place)
        assert list(place.iterdir()) == [place / ".lock"]

    asyncio.run(run())


def test_nobody_else_can_hold_the_lock(place: Path) -> None:
    """An account that may look into the directory may lock it, and no keyservice would ever
    start."""
    place.mkdir()
    stranger = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        listeners.create(place).close()
    finally:
        os.close(stranger)


def test_sockets_left_by_a_crash_are_replaced(place: Path) -> None:
    place.mkdir()
    for name in ("root.sock", "user.sock"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(place / name))
    made = listeners.create(place)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "root.sock"))
    made.close()


def test_a_directory_that_others_may_write_is_refused(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(ConfigurationError, match="others"):
        listeners.create(place)


def test_sockets_are_taken_over_by_name(place: Path) -> None:
    program = """
import os, sys
from keyservice.servers.listeners import take_over
found = take_over(os.environ)
print(os.path.basename(found.root.getsockname()), os.path.basename(found.user.getsockname()))
print(sorted(name for name in os.environ if name.startswith("LISTEN")))
"""
    made = listeners.create(place)
    for order, names in (
        ((made.user, made.root), "user:root"),
        ((made.root, made.user), "root:user"),
    ):
        first, second = (os.dup(each.fileno()) for each in order)

        def prepare(first: int = first, second: int = second) -> None:
            os.dup2(first, 3)
            os.dup2(second, 4)

        wrapped = "import os; os.environ['LISTEN_PID'] = str(os.getpid())\n" + program
        done = subprocess.run(
            [sys.executable, "-c", wrapped],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": names},
            preexec_fn=prepare,
            close_fds=False,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.stdout == "root.sock user.sock\n[]\n", done.stderr
        os.close(first)
        os.close(second)
    made.close()


def test_other_descriptors_are_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "root:other"}
    with pytest.raises(ConfigurationError, match="root and user"):
        listeners.take_over(mine)
    assert mine == {}
    assert listeners.take_over({"LISTEN_PID": "1", "LISTEN_FDS": "2"}) is None
    assert listeners.take_over({}) is None
