# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What each method of the bus interface does: this module translates, and asks the access floor.

Values go out as ``contract.bus_steps`` has them, with pairs (signature, value) for variants.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keyservice.access.conversation import Caller
from keyservice.contract import bus_steps
from keyservice.contract.bus_steps import Variant
from keyservice.contract.requests import arguments

from .bus_clients import BusClients
from .bus_methods import METHODS, Method
from .requests import request_of

Row = Mapping[str, str | int | bool]


class Administration(Protocol):
    """``access.administration.Administration``: what can be asked without a session."""

    async def list_ukeys(self, caller: Caller) -> Sequence[Row]: ...
    async def probe(self, caller: Caller) -> tuple[Sequence[Row], Sequence[Row]]: ...
    async def list_bindings(self, caller: Caller) -> Sequence[Row]: ...
    async def export_bindings(self, caller: Caller) -> tuple[str, Sequence[Row]]: ...
    async def check_import(self, caller: Caller, document: str) -> Sequence[Row]: ...
    async def import_bindings(self, caller: Caller, document: str) -> Sequence[Row]: ...
    async def list_revocations(self, caller: Caller) -> Sequence[Row]: ...
    async def unrevoke(self, caller: Caller, key: str) -> None: ...
    async def forget(self, caller: Caller, user: str) -> Sequence[Row]: ...
    async def accept_state(self, caller: Caller) -> Sequence[Row]: ...
    async def reset_throttle(self, caller: Caller, serial: str) -> None: ...
    async def verify_challenge(
        self, caller: Caller, user: str, challenge: bytes, signature: bytes
    ) -> bool: ...
    async def status(self, caller: Caller) -> Row: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call that may run, and its caller, who is allowed to make it."""

    caller: Caller
    method: Method
    body: list[Any]


class Answers:
    """Answers calls whose caller, right and arguments have been checked."""

    def __init__(self, clients: BusClients, administration: Administration) -> None:
        self._clients, self._administration = clients, administration
        self._handlers: Mapping[str, Callable[[Call], Awaitable[list[Any]]]] = {
            **{name: self._begin for name, method in METHODS.items() if method.operation},
            "Continue": self._continue,
            "Cancel": self._cancel,
            "ListUkeys": self._list_ukeys,
            "Probe": self._probe,
            "ListBindings": self._list_bindings,
            "ExportBindings": self._export_bindings,
            "CheckImport": self._check_import,
            "ImportBindings": self._import_bindings,
            "ListRevocations": self._list_revocations,
            "Unrevoke": self._unrevoke,
            "Forget": self._forget,
            "AcceptState": self._accept_state,
            "ResetThrottle": self._reset_throttle,
            "VerifyChallenge": self._verify_challenge,
            "Status": self._status,
        }

    async def to(self, call: Call) -> list[Any]:
        """The values of the reply."""
        return await self._handlers[call.method.name](call)

    async def _begin(self, call: Call) -> list[Any]:
        operation = call.method.operation
        assert operation is not None
        names = (argument.name for argument in call.method.takes)
        fields = dict(zip(names, call.body, strict=True))
        checked = dict(zip(fields, arguments(operation, fields), strict=True))
        number, step = await self._clients.begin(call.caller, request_of(operation, checked))
        return [number.hex(), *bus_steps.to_bus(step)]

    async def _continue(self, call: Call) -> list[Any]:
        step = await self._clients.proceed(call.caller.source, call.body[0])
        return list(bus_steps.to_bus(step))

    async def _cancel(self, call: Call) -> list[Any]:
        self._clients.cancel(call.caller.source, call.body[0])
        return []

    async def _list_ukeys(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.list_ukeys(call.caller)))]

    async def _probe(self, call: Call) -> list[Any]:
        readers, looks = await self._administration.probe(call.caller)
        return [list(map(_row, readers)), list(map(_row, looks))]

    async def _list_bindings(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.list_bindings(call.caller)))]

    async def _export_bindings(self, call: Call) -> list[Any]:
        document, left = await self._administration.export_bindings(call.caller)
        return [document, list(map(_row, left))]

    async def _check_import(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.check_import(call.caller, call.body[0])))]

    async def _import_bindings(self, call: Call) -> list[Any]:
        rows = await self._administration.import_bindings(call.caller, call.body[0])
        return [list(map(_row, rows))]

    async def _list_revocations(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.list_revocations(call.caller)))]

    async def _unrevoke(self, call: Call) -> list[Any]:
        await self._administration.unrevoke(call.caller, call.body[0])
        return []

    async def _forget(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.forget(call.caller, call.body[0])))]

    async def _accept_state(self, call: Call) -> list[Any]:
        return [list(map(_row, await self._administration.accept_state(call.caller)))]

    async def _reset_throttle(self, call: Call) -> list[Any]:
        await self._administration.reset_throttle(call.caller, call.body[0])
        return []

    async def _verify_challenge(self, call: Call) -> list[Any]:
        user, challenge, signature = call.body
        return [
            await self._administration.verify_challenge(call.caller, user, challenge, signature)
        ]

    async def _status(self, call: Call) -> list[Any]:
        return [_row(await self._administration.status(call.caller))]


def _row(row: Row) -> dict[str, Variant]:
    return {name: bus_steps.variant_of(value) for name, value in row.items()}
