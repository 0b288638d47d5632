# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The owners of the bus's sessions: each session belongs to the unique name that began it.

A client is a unique name that has begun a session. It is watched from before its first session to
after its last, so that its sessions end when it leaves the bus, in any way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from keyservice.access.conversation import Caller, Request
from keyservice.access.session import Owner, Session, Sessions
from keyservice.contract.names import SESSION_ID_BYTES
from keyservice.contract.steps import Step, Verdict
from keyservice.core.errors import BadRequest, Busy, Cancelled, NoSession, NotAllowed

from .caller import Process, identify, may_not_ask

#: Clients at a time: of root as many as it may have sessions; of all other uids; of one uid.
#: The bus allows 512 match rules.
ROOT_CLIENTS, OTHER_CLIENTS, CLIENTS_OF_UID = 256, 128, 8


class Names(Protocol):
    """The questions that are asked of the bus itself."""

    async def credentials(self, name: str) -> tuple[int, int]:
        """(effective uid, pid) of the connection; NotAllowed where the bus does not say."""
        ...

    async def watch(self, name: str) -> bool:
        """Have :meth:`BusClients.gone` called when `name` leaves; False if it has left already."""
        ...

    def unwatch(self, name: str) -> None: ...


@dataclass(slots=True)
class _Client:
    caller: Caller
    sessions: set[bytes] = field(default_factory=set)
    waiting: set[bytes] = field(default_factory=set)  #: sessions whose next step is awaited
    arriving: bool = True  #: not watched yet

    @property
    def owner(self) -> Owner:
        return Owner(self.caller.uid, self.caller.source)


class BusClients:
    """The sessions that were begun over one connection of the service to the bus."""

    def __init__(self, sessions: Sessions, names: Names) -> None:
        self._sessions, self._names = sessions, names
        self._clients: dict[str, _Client] = {}

    async def caller(self, sender: str) -> Caller:
        """Who `sender` is. Raises :class:`NotAllowed` where it may ask for nothing."""
        client = self._clients.get(sender)
        if client is not None:
            return client.caller
        uid, pid = await self._names.credentials(sender)
        if may_not_ask(uid, pid):
            raise NotAllowed("This process may ask for nothing")
        process = Process.of_pid(pid)
        try:
            return identify(uid, process, sender)
        finally:
            process.close()

    async def begin(self, caller: Caller, request: Request) -> tuple[bytes, Step]:
        """(session id, first step)."""
        client = await self._welcome(caller)
        session = self._sessions.begin(client.owner, caller, request)
        client.sessions.add(session.id)
        return session.id, await self._next(client, session)

    async def proceed(self, sender: str, number: str) -> Step:
        """The next step of the session `number` (hex) of `sender`."""
        client, session = self._find(sender, number)
        if session.id in client.waiting:
            raise BadRequest("A Continue for this session is on its way")
        return await self._next(client, session)

    def cancel(self, sender: str, number: str) -> None:
        _guest, session = self._find(sender, number)
        session.cancel()

    def gone(self, sender: str) -> None:
        """`sender` left the bus."""
        client = self._clients.pop(sender, None)
        if client is not None:
            self._names.unwatch(sender)
            self._sessions.drop(client.owner)

    def close(self) -> None:
        """The bus itself is gone."""
        while self._clients:
            _sender, client = self._clients.popitem()
            self._sessions.drop(client.owner)

    async def _welcome(self, caller: Caller) -> _Client:
        """The client that `caller` is, watched. Nothing is awaited between that and its session."""
        sender = caller.source
        client = self._clients.get(sender)
        if client is not None:
            return client
        if not self._fits(caller):
            for each in list(self._clients):
                self._tidy(each)
            if not self._fits(caller):
                raise Busy("Too many sessions are open on the bus")
        self._clients[sender] = client = _Client(caller)
        there = False
        try:
            there = await self._names.watch(sender)
        finally:
            if not there:
                self.gone(sender)
        client.arriving = False
        if self._clients.get(sender) is not client:
            raise Cancelled
        return client

    def _fits(self, caller: Caller) -> bool:
        """Whether the uid of `caller` may have one more client."""
        uids = [client.caller.uid for client in self._clients.values()]
        if caller.root:
            return uids.count(0) < ROOT_CLIENTS
        others = len(uids) - uids.count(0)
        return others < OTHER_CLIENTS and uids.count(caller.uid) < CLIENTS_OF_UID

    async def _next(self, client: _Client, session: Session) -> Step:
        client.waiting.add(session.id)
        over = True
        try:
            step = await session.next_step()
            over = isinstance(step, Verdict)
            return step
        finally:
            client.waiting.discard(session.id)
            if over:
                client.sessions.discard(session.id)
                self._tidy(client.caller.source)

    def _find(self, sender: str, number: str) -> tuple[_Client, Session]:
        client = self._clients.get(sender)
        try:
            wanted = bytes.fromhex(number)
        except ValueError:
            raise BadRequest("A session is named by 32 hexadecimal digits") from None
        if len(wanted) != SESSION_ID_BYTES:
            raise BadRequest("A session is named by 32 hexadecimal digits")
        if client is None or wanted not in client.sessions:
            raise NoSession
        return client, self._sessions.find(wanted, client.caller)

    def _tidy(self, sender: str) -> None:
        """Forget sessions that ended without their verdict being fetched; then idle clients."""
        client = self._clients.get(sender)
        if client is None:
            return
        for number in list(client.sessions):
            try:
                self._sessions.find(number, client.caller)
            except NoSession:
                client.sessions.discard(number)
        if not (client.sessions or client.waiting or client.arriving):
            del self._clients[sender]
            self._names.unwatch(sender)
