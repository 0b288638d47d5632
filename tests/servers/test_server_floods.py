# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Floods of connections: their limits, and the time of a login beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyservice import descriptors
from keyservice.contract import frames
from keyservice.contract.steps import Verdict
from keyservice.servers.sockets import Limits
from tests.servers.serverkit import (
    BEGIN,
    ScriptedSessions,
    as_nobody,
    dial,
    hold,
    receive,
    receive_frame,
    serving,
    settled,
)

#: Sessions that are measured without a flood, and as many beside one.
_ROUNDS = 400

_HOLD = """
import socket, sys
held = []
closed = 0
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); held.append(s)
for s in held:
    s.settimeout(0.1)
    try:
        closed += s.recv(1) == b""
    except TimeoutError:
        pass
print(closed, flush=True)
sys.stdin.read()
"""


def test_the_ninth_connection_of_a_uid_is_closed_at_accept(place: Path) -> None:
    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            flood = as_nobody(_HOLD, str(place / "user.sock"), "12")
            assert flood.stdout is not None
            assert await asyncio.to_thread(flood.stdout.readline) == b"4\n"
            steps = await asyncio.to_thread(hold, place / "user.sock", b"123456")
            assert isinstance(steps[-1], Verdict)  # root has its own eight
            await asyncio.to_thread(flood.communicate, b"", 5)
            await asyncio.sleep(0.05)
            again = as_nobody(_HOLD, str(place / "user.sock"), "8")
            assert again.stdout is not None
            assert await asyncio.to_thread(again.stdout.readline) == b"0\n"
            await asyncio.to_thread(again.communicate, b"", 5)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["user.sock", "root.sock"])
def test_at_the_limit_of_all_the_oldest_idle_connection_makes_room(place: Path, name: str) -> None:
    """On root.sock too, where su by su that was stopped in time could keep root's login out."""

    async def run() -> None:
        sessions = ScriptedSessions()
        limits = Limits(users=3, per_uid=9, root=3)
        async with serving(place, sessions, limits):
            busy, idle, third = [await dial(place / name) for _ in range(3)]
            busy.send(BEGIN)
            await receive_frame(busy)
            newest = await dial(place / name)
            assert await receive(idle) == b""
            for client in (third, newest):
                client.send(BEGIN)
                await receive_frame(client)
            surplus = await dial(place / name)
            assert await receive(surplus) == b""
            assert sessions.open == 3

    asyncio.run(run())


def test_after_a_surplus_the_listener_rests(place: Path) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with serving(place, ScriptedSessions(), Limits(per_uid=1, rest=0.3)):
            held = await dial(place / "user.sock")
            for _ in range(2):
                start = loop.time()
                assert await receive(await dial(place / "user.sock")) == b""
            assert 0.2 < loop.time() - start < 1
            held.close()

    asyncio.run(run())


def test_a_connection_costs_no_more_descriptors_than_are_counted(place: Path) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            before, many = opened(), 10
            clients = [await dial(place / "root.sock") for _ in range(many)]
            await settled(lambda: opened() == before + many * (1 + descriptors.PER_CONNECTION))
            for client in clients:
                client.send(BEGIN)
                await receive_frame(client)
            assert opened() == before + 2 * many
            for client in clients:
                client.close()
            await settled(lambda: sessions.open == 0)
            assert opened() == before

    asyncio.run(run())


def test_root_sock_takes_root_only_even_if_its_mode_is_changed(place: Path) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            (place / "root.sock").chmod(0o666)
            stranger = as_nobody(_HOLD, str(place / "root.sock"), "1")
            out, _ = await asyncio.to_thread(stranger.communicate, b"", 10)
            assert out == b"1\n"

    asyncio.run(run())


async def _round_trip(path: Path) -> float:
    """Seconds from connect to the verdict."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    client = await dial(path)
    client.send(BEGIN)
    _kind, body = await receive_frame(client)
    number = frames.parse_step(body)[0]
    for _ in range(2):
        await receive_frame(client)
    client.send(frames.build_answer(number, b"123456"))
    await receive_frame(client)
    client.close()
    return loop.time() - start


def test_a_flood_does_not_stop_a_login(place: Path, record_property: object) -> None:
    flood = """
import socket, sys
while True:
    held = []
    for _ in range(64):
        s = socket.socket(socket.AF_UNIX); s.setblocking(False)
        try:
            s.connect(sys.argv[1]); s.send(b"\\x01\\x01\\x0f\\xffhalf a frame"); held.append(s)
        except OSError:
            pass
"""

    async def run() -> None:
        async with serving(place, ScriptedSessions()):
            await _round_trip(place / "root.sock")
            quiet = sorted([await _round_trip(place / "root.sock") for _ in range(_ROUNDS)])
            flooders = [as_nobody(flood, str(place / "user.sock")) for _ in range(3)]
            await asyncio.sleep(0.5)
            beside = sorted([await _round_trip(place / "root.sock") for _ in range(_ROUNDS)])
            for each in flooders:
                each.kill()
                each.wait()
            for name, times in (("quiet", quiet), ("beside a flood", beside)):
                print(
                    f"login over root.sock {name}: median {times[_ROUNDS // 2] * 1e3:.2f} ms,"
                    f" 1 % over {times[-_ROUNDS // 100] * 1e3:.2f} ms,"
                    f" worst {times[-1] * 1e3:.2f} ms"
                )
            assert beside[-1] < 5, "a login beside a flood must end at all"

    asyncio.run(run())
