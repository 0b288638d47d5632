# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whose a session of the bus is: each belongs to the unique name that began it.

A guest is a unique name that has begun a session. It is watched from before its first session to
after its last, so that its sessions end when it leaves the bus, whichever way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from keyservice.access.conversation import Caller, Request
from keyservice.access.session import Owner, Session, Sessions
from keyservice.contract.names import SESSION_ID_BYTES
from keyservice.contract.steps import Step, Verdict
from keyservice.core.errors import BadRequest, Busy, Cancelled, NoSession

from .caller import Process, identify

#: Guests at a time: as many as root may have sessions. The bus allows 512 match rules.
GUESTS_MAX = 256


class Names(Protocol):
    """What the bus itself is asked."""

    async def credentials(self, name: str) -> tuple[int, int]:
        """(effective uid, pid) of the connection; NotAllowed where the bus does not say."""
        ...

    async def watch(self, name: str) -> bool:
        """Have :meth:`Guests.gone` called when `name` leaves; False if it has left already."""
        ...

    def unwatch(self, name: str) -> None: ...


@dataclass(slots=True)
class _Guest:
    caller: Caller
    sessions: set[bytes] = field(default_factory=set)
    waiting: set[bytes] = field(default_factory=set)  #: sessions whose next step is awaited
    arriving: bool = True  #: not watched yet

    @property
    def owner(self) -> Owner:
        return Owner(self.caller.uid, self.caller.source)


class Guests:
    """The sessions that were begun over one connection of the service to the bus."""

    def __init__(self, sessions: Sessions, names: Names) -> None:
        self._sessions, self._names = sessions, names
        self._guests: dict[str, _Guest] = {}

    async def caller(self, sender: str) -> Caller:
        """Who `sender` is."""
        guest = self._guests.get(sender)
        if guest is not None:
            return guest.caller
        uid, pid = await self._names.credentials(sender)
        process = Process.of_pid(pid)
        try:
            return identify(uid, process, sender)
        finally:
            process.close()

    async def begin(self, caller: Caller, request: Request) -> tuple[bytes, Step]:
        """(session id, first step)."""
        guest = await self._welcome(caller)
        session = self._sessions.begin(guest.owner, caller, request)
        guest.sessions.add(session.id)
        return session.id, await self._next(guest, session)

    async def proceed(self, sender: str, number: str) -> Step:
        """The next step of the session `number` (hex) of `sender`."""
        guest, session = self._find(sender, number)
        if session.id in guest.waiting:
            raise BadRequest("A Continue for this session is on its way")
        return await self._next(guest, session)

    def cancel(self, sender: str, number: str) -> None:
        _guest, session = self._find(sender, number)
        session.cancel()

    def gone(self, sender: str) -> None:
        """`sender` left the bus."""
        guest = self._guests.pop(sender, None)
        if guest is not None:
            self._names.unwatch(sender)
            self._sessions.drop(guest.owner)

    def close(self) -> None:
        """The bus itself is gone."""
        while self._guests:
            _sender, guest = self._guests.popitem()
            self._sessions.drop(guest.owner)

    async def _welcome(self, caller: Caller) -> _Guest:
        """The guest that `caller` is, watched. Nothing is awaited between that and its session."""
        sender = caller.source
        guest = self._guests.get(sender)
        if guest is not None:
            return guest
        if len(self._guests) >= GUESTS_MAX:
            for each in list(self._guests):
                self._tidy(each)
            if len(self._guests) >= GUESTS_MAX:
                raise Busy("Too many sessions are open on the bus")
        self._guests[sender] = guest = _Guest(caller)
        there = False
        try:
            there = await self._names.watch(sender)
        finally:
            if not there:
                self.gone(sender)
        guest.arriving = False
        if self._guests.get(sender) is not guest:
            raise Cancelled
        return guest

    async def _next(self, guest: _Guest, session: Session) -> Step:
        guest.waiting.add(session.id)
        over = True
        try:
            step = await session.next_step()
            over = isinstance(step, Verdict)
            return step
        finally:
            guest.waiting.discard(session.id)
            if over:
                guest.sessions.discard(session.id)
                self._tidy(guest.caller.source)

    def _find(self, sender: str, number: str) -> tuple[_Guest, Session]:
        guest = self._guests.get(sender)
        try:
            wanted = bytes.fromhex(number)
        except ValueError:
            raise BadRequest("A session is named by 32 hexadecimal digits") from None
        if len(wanted) != SESSION_ID_BYTES:
            raise BadRequest("A session is named by 32 hexadecimal digits")
        if guest is None or wanted not in guest.sessions:
            raise NoSession
        return guest, self._sessions.find(wanted, guest.caller)

    def _tidy(self, sender: str) -> None:
        """Forget sessions that ended without their verdict being fetched; then idle guests."""
        guest = self._guests.get(sender)
        if guest is None:
            return
        for number in list(guest.sessions):
            try:
                self._sessions.find(number, guest.caller)
            except NoSession:
                guest.sessions.discard(number)
        if not (guest.sessions or guest.waiting or guest.arriving):
            del self._guests[sender]
            self._names.unwatch(sender)
