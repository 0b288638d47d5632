# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The messages of the service to a supervisor, at a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.core.supervisor import Supervisor

MINE = str(os.getpid())


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def environment(heard: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": heard.getsockname(), "HOME": "/", **more}


def everything(heard: socket.socket) -> list[bytes]:
    """The messages that wait to be read."""
    heard.setblocking(False)
    found = []
    try:
        while True:
            found.append(heard.recv(100))
    except BlockingIOError:
        heard.settimeout(10)
        return found


def test_it_hears_signs_of_life_while_the_event_loop_turns(heard: socket.socket) -> None:
    given = environment(heard, WATCHDOG_USEC="100000", WATCHDOG_PID=MINE)

    async def serve() -> None:
        supervisor = Supervisor.of_environment(given)
        supervisor.ready()
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, heard.recv, 100) == b"READY=1"
        for _ in range(3):
            assert await loop.run_in_executor(None, heard.recv, 100) == b"WATCHDOG=1"
        everything(heard)
        time.sleep(0.3)  # a hanging call holds the loop up like this
        assert everything(heard) == []
        supervisor.stopping()
        assert everything(heard) == [b"STOPPING=1"]
        await asyncio.sleep(0.2)
        assert everything(heard) == []

    asyncio.run(serve())
    assert given == {"HOME": "/"}  # no child speaks in our name


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_who_does_not_ask_for_signs_of_life_gets_none(
    heard: socket.socket, more: dict[str, str]
) -> None:
    async def serve() -> None:
        supervisor = Supervisor.of_environment(environment(heard, **more))
        supervisor.ready()
        await asyncio.sleep(0.05)
        supervisor.stopping()

    asyncio.run(serve())
    assert everything(heard) == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "vsock:2:1234", "@nobody-is-here"])
def test_nobody_that_can_be_told_is_no_trouble(address: str) -> None:
    async def serve() -> None:
        given = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}
        supervisor = Supervisor.of_environment(given)
        supervisor.ready()
        await asyncio.sleep(0.01)
        supervisor.stopping()

    asyncio.run(serve())


def test_an_abstract_socket_is_told() -> None:
    name = f"ukey-test-{MINE}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        Supervisor(f"@{name}").stopping()
        assert everything(listener) == [b"STOPPING=1"]


def test_a_supervisor_that_does_not_read_is_not_waited_for_long(heard: socket.socket) -> None:
    supervisor = Supervisor(heard.getsockname())
    begun = time.monotonic()
    queue = Path("/proc/sys/net/unix/max_dgram_qlen").read_text()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as fill:
        fill.connect(heard.getsockname())
        for _ in range(int(queue) + 1):
            fill.send(b"x")
        supervisor.stopping()
    assert time.monotonic() - begun < 5
