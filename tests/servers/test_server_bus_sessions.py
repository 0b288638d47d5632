# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Sessions over a real dbus-daemon, with their answers past it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from jeepney import DBusAddress

from keyservice.client.bus import Bus
from keyservice.client.bus_link import BusLink
from keyservice.client.channel import (
    ClientError,
    Deadline,
    ServiceRefused,
)
from keyservice.contract import operations
from keyservice.contract.names import BUS_NAME, INTERFACE, OBJECT_PATH, Code, ErrorName, WaitFor
from keyservice.contract.steps import Info, Prompt, Step, Verdict, Wait
from tests.servers.buskit import calls_by_nobody
from tests.servers.busstage import Stage, hold, refused, service_of
from tests.servers.serverkit import as_nobody, settled

SERVICE = DBusAddress(OBJECT_PATH, bus_name=BUS_NAME, interface=INTERFACE)


def test_a_login_over_the_bus_has_its_answer_past_it(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(hold, b"123456") == [
            Info("Hello"),
            Wait("Insert your ukey", WaitFor.UKEY),
            Prompt("PIN: ", False),
            Verdict(Code.SUCCESS, detail={"serial": "SN1", "left": 3, "fresh": True}),
        ]
        session = stage.sessions.begun[0]
        assert session.answers == [b"123456"]
        assert session.caller.source.startswith(":")
        assert (session.caller.uid, session.caller.ruid) == (0, 0)
        assert session.owner.key == session.caller.source
        assert (session.request.user, session.request.timeout) == ("alice", 5)
        assert (await asyncio.to_thread(hold, b"0000000"))[-1] == Verdict(
            Code.AUTH_ERR, "Wrong PIN", ErrorName.PIN_WRONG, {"left": 2}
        )

    stage.run(play)


def test_no_answer_is_seen_on_the_bus(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        monitor = subprocess.Popen(
            ["dbus-monitor", "--pcap", "--address", stage.bus.address], stdout=subprocess.PIPE
        )
        assert monitor.stdout is not None
        pipe = monitor.stdout.fileno()
        seen = await asyncio.to_thread(os.read, pipe, 65536)  # the file's head: it listens now
        await asyncio.to_thread(hold, b"canary-pin", user="canary-user")
        async with asyncio.timeout(5):
            while b"Wrong PIN" not in seen:
                seen += await asyncio.to_thread(os.read, pipe, 65536)
        monitor.kill()
        monitor.communicate()
        assert stage.sessions.begun[0].answers == [b"canary-pin"]
        assert b"canary-user" in seen
        assert b"canary-pin" not in seen

    stage.run(play)


def test_a_session_belongs_to_the_connection_that_began_it(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        mine = await asyncio.to_thread(BusLink, Deadline(5))
        body = ("alice", "login", "", "", "", 0, 5)
        call = (service_of(mine), "BeginAuthentication", "sssssuu", body)
        number, kind, text, detail = await asyncio.to_thread(mine.call, *call)
        assert (kind, text, detail) == ("info", "Hello", {})
        assert number == stage.sessions.begun[0].id.hex()
        for member in ("Continue", "Cancel"):
            name = await asyncio.to_thread(refused, member, "s", (number,))
            assert name is ErrorName.NO_SESSION
            assert await asyncio.to_thread(refused, member, "s", ("0" * 32,)) is name
            for wrong in ("", "xyz", number[:-2], number + "00", "é" * 16):
                name = await asyncio.to_thread(refused, member, "s", (wrong,))
                assert name is ErrorName.BAD_REQUEST
        stolen = await calls_by_nobody(
            stage.bus, stage.name, [("Continue", "s", [number]), ("Cancel", "s", [number])]
        )
        assert stolen == ["NoSession", "NoSession"]
        assert stage.sessions.open == 1
        other = await asyncio.to_thread(BusLink, Deadline(5))
        assert (await asyncio.to_thread(other.call, *call))[1] == "info"
        for member in ("Continue", "Cancel"):
            with pytest.raises(ServiceRefused) as caught:
                await asyncio.to_thread(other.call, call[0], member, "s", (number,))
            assert caught.value.name is ErrorName.NO_SESSION
        other.close()
        await asyncio.wait_for(stage.sessions.begun[1].dropped.wait(), 5)
        assert not stage.sessions.begun[0].dropped.is_set()
        mine.close()
        await asyncio.wait_for(stage.sessions.begun[0].dropped.wait(), 5)
        assert stage.sessions.open == 0

    stage.run(play)


def test_a_caller_that_is_killed_loses_its_session(stage: Stage) -> None:
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from jeepney import DBusAddress
from keyservice.client import bus_link
from keyservice.client.channel import Deadline
bus_link.SYSTEM_BUS = sys.argv[2]
link = bus_link.BusLink(Deadline(10))
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[3], interface="org.ukey.KeyService1")
print(link.call(here, "BeginVerifyPin", "sssssuu", ("", "", "", "", "", 0, 0))[1], flush=True)
sys.stdin.read()
"""

    async def play(stage: Stage) -> None:
        checkout = str(Path(__file__).parents[2])
        someone = as_nobody(program, checkout, stage.bus.address, stage.name)
        assert someone.stdout is not None
        assert await asyncio.to_thread(someone.stdout.readline) == b"info\n"
        session = stage.sessions.begun[0]
        assert (session.caller.uid, session.caller.ruid) == (65534, 65534)
        assert session.caller.pid == someone.pid
        someone.kill()
        await asyncio.wait_for(session.dropped.wait(), 5)
        someone.communicate()

    stage.run(play)


def test_only_one_continue_waits_at_a_time(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        with Bus(timeout=5) as client:
            steps = await asyncio.to_thread(client.begin, operations.VERIFY_PIN)
            for _ in range(3):
                step = await asyncio.to_thread(next, steps)
            assert isinstance(step, Prompt)
            waiting = asyncio.create_task(asyncio.to_thread(next, steps))
            await settled(lambda: stage.sessions.begun[0].waiting == 4)
            # the same connection cannot call twice with the blocking client: ask the server
            connection = stage.service._connection
            assert connection is not None
            (sender,) = connection._clients._clients
            with pytest.raises(Exception, match="on its way"):
                await connection._clients.proceed(sender, stage.sessions.begun[0].id.hex())
            await asyncio.to_thread(client.answer, bytearray(b"123456"))
            assert isinstance(await waiting, Verdict)
            assert connection._clients._clients == {}

    stage.run(play)


def test_cancel_brings_the_verdict(stage: Stage) -> None:
    def play_out() -> list[Step]:
        steps = []
        with Bus(timeout=5) as client:
            for step in client.begin(operations.VERIFY_PIN):
                steps.append(step)
                if isinstance(step, Prompt):
                    client.cancel()
        return steps

    async def play(stage: Stage) -> None:
        steps = await asyncio.to_thread(play_out)
        assert steps[-1] == Verdict(Code.CONV_ERR, "Cancelled", ErrorName.CANCELLED)

    stage.run(play)


def test_a_refused_answer_leaves_the_session(stage: Stage) -> None:
    def play_out() -> Step:
        with Bus(timeout=5) as client:
            steps = client.begin(operations.VERIFY_PIN)
            for step in steps:
                if isinstance(step, Prompt):
                    break
            long = bytearray(b"x" * 4096)
            with pytest.raises(ServiceRefused) as caught:
                client.answer(long)
            assert caught.value.name is ErrorName.BAD_REQUEST
            assert long == bytes(4096)
            with pytest.raises(ClientError, match="nothing was asked"):
                client.answer(bytearray(b"123456"))
            client.cancel()
            return list(steps)[-1]

    async def play(stage: Stage) -> None:
        verdict = await asyncio.to_thread(play_out)
        assert isinstance(verdict, Verdict)

    stage.run(play)
