# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The service, on a private bus and on its sockets, and calls to it by root."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress

from keyservice.client.bus import Bus
from keyservice.client.bus_link import BusLink
from keyservice.client.channel import Deadline, ServiceRefused
from keyservice.contract import operations
from keyservice.contract.names import BUS_NAME, INTERFACE, OBJECT_PATH, ErrorName
from keyservice.contract.steps import Prompt, Step
from tests.servers.buskit import PrivateBus, ScriptedAdministration, on_bus
from tests.servers.serverkit import ScriptedSessions, serving


class Stage:
    """The service on a bus and on its sockets, and a connection for odd calls."""

    def __init__(self, bus: PrivateBus, place: Path) -> None:
        self.bus, self.place = bus, place
        self.sessions, self.administration = ScriptedSessions(), ScriptedAdministration()

    def run(self, play: Callable[[Stage], Awaitable[None]]) -> None:
        async def staged() -> None:
            async with (
                serving(self.place, self.sessions),
                on_bus(self.bus, self.sessions, self.administration) as self.service,
            ):
                await play(self)

        asyncio.run(staged())

    @property
    def name(self) -> str:
        assert self.service._connection is not None
        return str(self.service._connection._bus.unique_name)


def hold(answer: bytes, user: str = "alice") -> list[Step]:
    steps = []
    with Bus(timeout=5) as client:
        for step in client.begin(operations.AUTHENTICATION, user=user, service="login"):
            steps.append(step)
            if isinstance(step, Prompt):
                client.answer(bytearray(answer))
    return steps


def refused(member: str, signature: str | None = None, body: Any = ()) -> ErrorName:
    """The name of the error that a call by root is refused with."""
    with pytest.raises(ServiceRefused) as caught:
        linked(member, signature, body)
    return caught.value.name


def linked(member: str, signature: str | None = None, body: Any = ()) -> Any:
    """The reply to a call on a connection of its own."""
    here = BusLink(Deadline(5))
    try:
        return here.call(service_of(here), member, signature, body)
    finally:
        here.close()


def service_of(here: BusLink) -> DBusAddress:
    (owner,) = here.drive("GetNameOwner", "s", (BUS_NAME,))
    here.hear(owner)
    return DBusAddress(OBJECT_PATH, bus_name=owner, interface=INTERFACE)
