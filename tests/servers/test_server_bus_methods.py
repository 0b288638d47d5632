# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The methods of the bus: who may call each, what bounds it, how it fails."""

from __future__ import annotations

import asyncio
import dataclasses
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from jeepney import DBusAddress, new_method_call

from keyservice.access.operations import FUNCTIONS
from keyservice.client.bus import Bus
from keyservice.client.bus_link import BusLink
from keyservice.client.channel import (
    ClientError,
    Deadline,
    ServiceRefused,
)
from keyservice.contract.names import BUS_NAME, INTERFACE, OBJECT_PATH, ErrorName
from keyservice.core.errors import BadRequest, NotEnrolled
from keyservice.core.reasons import Reason
from keyservice.servers.bus_methods import METHODS, Right
from tests.servers.buskit import calls_by_nobody
from tests.servers.busstage import Stage, linked, refused, service_of
from tests.servers.serverkit import settled

SERVICE = DBusAddress(OBJECT_PATH, bus_name=BUS_NAME, interface=INTERFACE)


def test_each_method_has_its_right(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        (xml,) = await asyncio.to_thread(_introspected, OBJECT_PATH)
        (ours,) = (each for each in ET.fromstring(xml) if each.get("name") == INTERFACE)
        methods = {
            method.get("name"): "".join(
                argument.get("type", "") for argument in method if argument.get("direction") == "in"
            )
            for method in ours.iter("method")
        }
        assert methods == {name: method.signature for name, method in METHODS.items()}
        assert all(method.right is not None for method in METHODS.values())
        assert {each.get("name") for each in ours.iter("signal")} == {
            "UkeyInserted",
            "UkeyRemoved",
        }
        connection = stage.service._connection
        assert connection is not None
        assert connection._answers._handlers.keys() == METHODS.keys()
        values = {"s": "alice", "u": 0, "ay": "0123"}
        closed = [name for name, method in METHODS.items() if method.right is Right.ROOT]
        calls = [
            (
                name,
                METHODS[name].signature,
                [values[each.signature] for each in METHODS[name].takes],
            )
            for name in closed
        ]
        names = await calls_by_nobody(stage.bus, stage.name, calls)
        assert names == ["NotAllowed"] * len(closed)
        assert stage.administration.seen == []
        assert stage.sessions.begun == []

    stage.run(play)


def test_rights_to_begin_are_those_of_the_policy() -> None:
    for operation in FUNCTIONS:
        right = METHODS[operation.method].right
        assert right is (Right.ROOT if operation.root_only else Right.ANYONE)


def test_a_method_without_a_right_is_denied(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "Status", dataclasses.replace(METHODS["Status"], right=None))

    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(refused, "Status") is ErrorName.NOT_ALLOWED
        assert stage.administration.seen == []

    stage.run(play)


def test_questions_are_put_with_their_caller(stage: Stage) -> None:
    def ask() -> None:
        with Bus(timeout=5) as client:
            assert client.list_ukeys() == [{"reader": "Reader 0", "mine": True, "left": 3}]
            assert client.probe() == ([{"reader": "Reader 0"}], [{"kind": "piv", "known": False}])
            assert client.list_bindings() == []
            assert client.export_bindings() == ("{}", [{"user": "bob"}])
            assert client.check_import("{}") == [{"user": "alice", "state": "new"}]
            assert client.import_bindings("{}") == [{"user": "alice", "state": "there"}]
            assert client.list_revocations() == [{"key": "00" * 32}]
            client.unrevoke("ab" * 32)
            assert client.forget("alice") == [{"user": "alice", "uid": 1000}]
            assert client.accept_state() == [{"path": "/etc/usbkey/alice"}]
            client.reset_throttle("SN1")
            assert client.verify_challenge("alice", bytes(32), bytes(512))
            assert client.status() == {"version": "1", "readers": 2, "shared_pcsc": False}

    async def play(stage: Stage) -> None:
        await asyncio.to_thread(ask)
        assert stage.administration.seen == [
            ("list_ukeys", 0, ()),
            ("probe", 0, ()),
            ("list_bindings", 0, ()),
            ("export_bindings", 0, ()),
            ("check_import", 0, ("{}",)),
            ("import_bindings", 0, ("{}",)),
            ("list_revocations", 0, ()),
            ("unrevoke", 0, ("ab" * 32,)),
            ("forget", 0, ("alice",)),
            ("accept_state", 0, ()),
            ("reset_throttle", 0, ("SN1",)),
            ("verify_challenge", 0, ("alice", bytes(32), bytes(512))),
            ("status", 0, ()),
        ]
        names = await calls_by_nobody(stage.bus, stage.name, [("Status", "", [])])
        assert names[0][0]["readers"] == ["x", 2]
        assert stage.administration.seen[-1] == ("status", 65534, ())

    stage.run(play)


def test_errors_have_names_and_nothing_from_below(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.administration.failure = NotEnrolled(user="alice")
        assert await asyncio.to_thread(refused, "Status") is ErrorName.NOT_ENROLLED
        stage.administration.failure = RuntimeError("secret detail")
        with pytest.raises(ServiceRefused) as caught:
            await asyncio.to_thread(linked, "Status")
        assert caught.value.name is ErrorName.FAILED
        assert "secret" not in caught.value.text
        assert "RuntimeError" not in caught.value.text

    stage.run(play)


def test_why_a_call_is_refused_is_data(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.administration.failure = BadRequest(Reason.NOT_REVOKED)
        with pytest.raises(ServiceRefused) as caught:
            await asyncio.to_thread(linked, "Unrevoke", "s", ("ab" * 32,))
        assert caught.value.facts == {"why": "not-revoked"}
        assert caught.value.text == "No key with that fingerprint is revoked"
        with pytest.raises(ServiceRefused) as caught:
            await asyncio.to_thread(linked, "Forget", "s", ("a" * 257,))
        assert caught.value.facts == {"why": "too-long", "name": "user", "limit": 256}

    stage.run(play)


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("BeginAuthentication", "sssssuu", ("a" * 257, "", "", "", "", 0, 0)),
        ("BeginAuthentication", "sssssuu", ("é" * 129, "", "", "", "", 0, 0)),
        ("BeginAuthentication", "sssssuu", ("a", "", "", "", "", 0x100, 0)),
        ("BeginAuthentication", "sssssuu", ("a", "", "", "", "", 0, 301)),
        ("BeginBind", "sssssssuu", ("a", "é" * 33, "", "", "", "", "", 0, 0)),
        ("Unrevoke", "s", ("a" * 65,)),
        ("ResetThrottle", "s", ("a" * 65,)),
        ("Forget", "s", ("a" * 257,)),
        ("VerifyChallenge", "sayay", ("alice", bytes(65), bytes(64))),
        ("VerifyChallenge", "sayay", ("alice", bytes(64), bytes(513))),
        ("VerifyChallenge", "sayay", ("a" * 257, bytes(64), bytes(64))),
        ("Continue", "s", ("0" * 33,)),
    ],
)
def test_arguments_are_bounded(
    stage: Stage, member: str, signature: str, body: tuple[object, ...]
) -> None:
    async def play(stage: Stage) -> None:
        assert await asyncio.to_thread(refused, member, signature, body) is ErrorName.BAD_REQUEST
        assert stage.administration.seen == []
        assert stage.sessions.begun == []

    stage.run(play)


def test_what_is_not_there_is_unknown(stage: Stage) -> None:
    def call(path: str, interface: str, member: str, signature: str = "", body: Any = ()) -> str:
        here = BusLink(Deadline(5))
        try:
            (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
            address = DBusAddress(path, bus_name=owner, interface=interface)
            with pytest.raises(ClientError) as caught:
                here.call(address, member, signature or None, body)
            return str(caught.value)
        finally:
            here.close()

    async def play(stage: Stage) -> None:
        for arguments, error in (
            ((OBJECT_PATH, INTERFACE, "Sign"), "UnknownMethod"),
            ((OBJECT_PATH, INTERFACE, "Continue"), "InvalidArgs"),
            ((OBJECT_PATH, INTERFACE, "Status", "s", ("x",)), "InvalidArgs"),
            ((OBJECT_PATH, INTERFACE, "Status", "at", ([1, 2],)), "InvalidArgs"),
            (("/other", INTERFACE, "Status"), "UnknownObject"),
            (("/other", "org.freedesktop.DBus.Introspectable", "Introspect"), "UnknownObject"),
        ):
            said = await asyncio.to_thread(call, *arguments)
            assert said == f"the bus said org.freedesktop.DBus.Error.{error}"
        (xml,) = await asyncio.to_thread(_introspected, "/org")
        assert '<node name="ukey"/>' in xml
        assert stage.administration.seen == []

    stage.run(play)


def _introspected(path: str) -> Any:
    here = BusLink(Deadline(5))
    try:
        (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
        address = DBusAddress(path, bus_name=owner, interface="org.freedesktop.DBus.Introspectable")
        return here.call(address, "Introspect")
    finally:
        here.close()


def test_waiting_calls_of_one_connection_are_bounded(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        stage.administration.hold = asyncio.Event()
        here = await asyncio.to_thread(BusLink, Deadline(5))
        service = service_of(here)
        for serial in range(100, 120):
            here._channel.send(new_method_call(service, "Status").serialise(serial))
        reply = await asyncio.to_thread(here._next, lambda heard: True)
        assert reply.header.fields[4] == "org.ukey.KeyService1.Error.Busy"
        await settled(lambda: len(stage.administration.seen) == 16)
        stage.administration.hold.set()
        here.close()

    stage.run(play)
