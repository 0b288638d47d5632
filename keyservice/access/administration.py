# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The questions without a conversation, and root's repairs. Each method checks its caller.

A caller other than root sees the readers with a ukey and whether the ukey is its own. Of its own
ukey it also sees the serial, the label, the tries and the binding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from keyservice.core import selinux, threads
from keyservice.core.errors import (
    BadRequest,
    LookUpLate,
    NotAllowed,
    NotEnrolled,
    RecordDamaged,
    StoreFailed,
    UkeyError,
    UnknownUser,
)
from keyservice.core.reasons import Reason, carried, told
from keyservice.core.threads import Budget, Late
from keyservice.crypto import algorithms
from keyservice.store.people import NO_UID, Event, now
from keyservice.store.records import Binding
from keyservice.store.revocations import Revocation

from .challenge import foreign_message
from .conversation import Caller
from .enrolment import doer
from .services import ReaderStatus, Services
from .session import Sessions

#: A row of an answer: text, numbers and yes or no, by name.
Row = dict[str, str | int | bool]

_Records = tuple[list[Binding], list[UkeyError]]

#: Seconds that a question may take on this host's disk and name service.
DEADLINE = 5.0
#: Seconds within which a change by root still gets its line in the log, if nobody waits any more.
AT_LAST = 3600.0
_T = TypeVar("_T")


class Administration:
    """All questions and repairs. May be called from the event loop."""

    def __init__(self, services: Services, sessions: Sessions, version: str) -> None:
        self._services, self._sessions, self._version = services, sessions, version
        self._reading: asyncio.Task[_Records] | None = None
        self._next: asyncio.Task[_Records] | None = None
        self._changes: set[asyncio.Task[Any]] = set()

    async def list_ukeys(self, caller: Caller) -> list[Row]:
        """The readers with a card in them; for root all readers, and what is in them."""
        await self._pcscd()  # a ukey that is still being recognised would look like a foreign card
        bindings, _ = await self._records()
        owners = {binding.serial: binding for binding in bindings}
        rows = []
        for presence in self._services.ukeys.present():
            if caller.root or presence.info is not None:
                rows.append(self._ukey(caller, presence, owners))
        return rows

    async def list_bindings(self, caller: Caller) -> list[Row]:
        """The bindings, for root also the records that cannot be trusted."""
        bindings, damaged = await self._records()
        revoked = await self._revoked()
        rows: list[Row] = []
        for binding in bindings:
            if caller.root or binding.uid == caller.uid:
                row: Row = {**asdict(binding), "key": binding.fingerprint}
                if revoked is not None:
                    row["revoked"] = binding.fingerprint in revoked
                rows.append(row)
        if caller.root:
            rows.extend(_damage(error) for error in damaged)
        return rows

    async def status(self, caller: Caller) -> Row:
        """The state of the service, and what weakens it."""
        rules, pcscd = self._services.rules, await self._pcscd()
        row: Row = {
            "version": self._version,
            **algorithms.engines(),
            "allow_virtual_readers": rules.allow_virtual_readers,
            "shared_pcsc": rules.shared_pcsc,
            "pcscd": pcscd,
            "readers": len(self._services.ukeys.present()),
        }
        if (domain := selinux.domain()) is not None:
            row["selinux"] = domain
        if caller.root:
            bindings, damaged = await self._records()
            row["bindings"] = len(bindings)
            row["damaged_records"] = len(damaged)
            if (revoked := await self._revoked()) is not None:
                row["revocations"] = len(revoked)
            row["sessions"] = len(self._sessions)
        return row

    async def verify_challenge(
        self, caller: Caller, user: str, challenge: bytes, signature: bytes
    ) -> bool:
        """Whether the ukey of `user` signed ``challenge.foreign_message`` of `challenge`.

        For root. `challenge` has 32 to 64 bytes, `signature` as its algorithm has it. False for a
        signature of a revoked key. Raises :class:`NotEnrolled` and the store's errors.
        """
        _root(caller)
        message = foreign_message(challenge)
        person = await threads.call(_budget(caller), self._services.resolve, user)
        enrolled = self._services.state.enrolled
        enrolment = await threads.call(_budget(caller), enrolled, person)
        if enrolment is None:
            raise NotEnrolled(user=person.name)
        if enrolment.damage is not None:
            raise enrolment.damage
        binding, revoked = enrolment.binding, enrolment.revoked
        right = algorithms.verify(binding.key, message, signature)
        verdict = right and not revoked
        self._services.audit.event(
            "verify-challenge",
            caller,
            user=person.name,
            serial=binding.serial,
            verdict="right" if verdict else "revoked" if right else "wrong",
        )
        return verdict

    async def forget(self, caller: Caller, user: str) -> list[Row]:
        """Forget that `user` had a ukey, so that ``nouserok`` lets them pass. For root, audited.

        Returns what was known. Raises :class:`BadRequest` if nothing was known,
        :class:`AlreadyBound` if a ukey is bound.
        """
        _root(caller)
        try:
            person = await threads.call(_budget(caller), self._services.resolve, user)
            user, uid = person.name, person.uid
        except UnknownUser:  # their ukey may still be known
            uid = NO_UID
        by, state = doer(caller), self._services.state

        async def forgotten() -> list[Event]:
            events = await threads.call(_budget(caller, AT_LAST), state.forget, user, uid, by)
            for each in events:
                facts = {"user": each.user, "uid": each.uid, "serial": each.serial}
                self._services.audit.event("forget", caller, **facts, verdict="done")
            return events

        known = await self._to_the_end("forget", caller, forgotten())
        if not known:
            raise BadRequest(Reason.NOT_KNOWN)
        return [{"user": e.user, "uid": e.uid, "serial": e.serial, "at": e.at} for e in known]

    async def accept_state(self, caller: Caller) -> list[Row]:
        """Accept records and histories as they are. For root, audited.

        Returns what was damaged or gone until then. Raises :class:`RecordDamaged` for a history
        that cannot be read.
        """
        _root(caller)
        accept, by = self._services.state.accept, doer(caller)

        async def accepted() -> list[Row]:
            rows = list(map(_damage, await threads.call(_budget(caller, AT_LAST), accept, by)))
            for row in rows:
                facts = {"path": row["path"], "why": told(str(row["why"]), row)}
                self._services.audit.event("accept-state", caller, **facts, verdict="done")
            return rows

        return await self._to_the_end("accept-state", caller, accepted())

    async def list_revocations(self, caller: Caller) -> list[Row]:
        """The revocations in force, oldest first. For root."""
        _root(caller)
        revocations = await threads.call(_budget(caller), self._services.revocations.all)
        return [
            {"key": r.key, "user": r.user, "serial": r.serial, "at": r.at, "by": r.by}
            for r in revocations
        ]

    async def unrevoke(self, caller: Caller, key: str) -> None:
        """Take back the revocation of the key with the fingerprint `key`. For root, audited.

        Raises :class:`BadRequest` if no such key is revoked.
        """
        _root(caller)
        key = key.lower()
        if not algorithms.FINGERPRINT.fullmatch(key):
            raise BadRequest(Reason.FINGERPRINT)
        found = await threads.call(_budget(caller), self._services.revocations.find, key)
        if found is None:
            raise BadRequest(Reason.NOT_REVOKED)
        event = Revocation(key, False, now(), doer(caller), found.user, found.serial)
        facts = {"user": found.user, "serial": found.serial, "key": key}

        def ended(verdict: str, error: BaseException | None) -> None:
            if error is not None:
                verdict = type(error).__name__
            self._services.audit.event("unrevoke", caller, **facts, verdict=verdict)

        late, append = partial(ended, "done-late"), self._services.revocations.append
        try:
            await threads.call(_budget(caller, late=late), append, event)
        except UkeyError as error:
            ended("", error)
            raise
        ended("done", None)

    async def reset_throttle(self, caller: Caller, serial: str) -> None:
        """End the pause of a ukey after wrong PINs. For root, audited.

        Raises :class:`BadRequest` for a serial of which nothing is known: it was mistyped.
        """
        _root(caller)
        if not await self._known(caller, serial):
            raise BadRequest(Reason.NO_SERIAL)
        try:
            await self._services.throttle.reset(serial)
        finally:  # the pause is over, even if that could not be written
            self._services.audit.event("reset-throttle", caller, serial=serial, verdict="done")

    async def _to_the_end(self, event: str, caller: Caller, change: Coroutine[Any, Any, _T]) -> _T:
        """The result of `change`, which finishes and logs its work even if it is late."""

        async def told() -> _T:
            try:
                return await change
            except UkeyError as error:
                self._services.audit.event(event, caller, verdict=type(error).__name__)
                raise

        def ended(task: asyncio.Task[_T]) -> None:
            self._changes.discard(task)
            if not task.cancelled():
                task.exception()  # it is logged already

        task = asyncio.get_running_loop().create_task(told())
        self._changes.add(task)
        task.add_done_callback(ended)
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.shield(task)
        except TimeoutError:
            raise LookUpLate() from None

    async def _revoked(self) -> set[str] | None:
        """The revoked keys; None if the file is damaged, which is part of the damage then."""
        try:
            everything = self._services.revocations.all
            return {each.key for each in await threads.call(Budget(0, DEADLINE), everything)}
        except (RecordDamaged, StoreFailed):
            return None

    async def _records(self) -> _Records:
        """All records, read once for everybody who asks before the reading begins.

        Anyone may ask, as often as they like: a reading for each would take the threads that logins
        need, and with hundreds of records the processor too.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._read(self._reading))
        return await asyncio.shield(self._next)

    async def _read(self, earlier: asyncio.Task[_Records] | None) -> _Records:
        if earlier is not None:
            await asyncio.wait({earlier})
        self._reading, self._next = self._next, None
        return await threads.call(Budget(0, DEADLINE), self._services.bindings.all)

    def _ukey(self, caller: Caller, presence: ReaderStatus, owners: dict[str, Binding]) -> Row:
        info = presence.info
        owner = owners.get(info.serial) if info is not None else None
        mine = owner is not None and owner.uid == caller.uid
        row: Row = {"reader": presence.reader, "mine": mine}
        if not (caller.root or mine):
            return row
        row |= {
            "card": presence.card_present,
            "refused": presence.refused,
            "virtual": presence.virtual,
        }
        if info is not None:
            row |= {
                "kind": info.kind,
                "serial": info.serial,
                "label": info.label,
                "manufacturer": info.manufacturer,
                "pause": self._services.throttle.pause(info.serial),
            }
        if presence.pin is not None:
            row |= {"left": presence.pin.left, "maximum": presence.pin.maximum}
        if owner is not None:
            row["user"] = owner.user
        return row

    async def _known(self, caller: Caller, serial: str) -> bool:
        if self._services.throttle.counts(serial):
            return True
        infos = [each.info for each in self._services.ukeys.present()]
        bindings, _ = await threads.call(_budget(caller), self._services.bindings.all)
        return any(each is not None and each.serial == serial for each in (*infos, *bindings))

    async def _pcscd(self) -> bool:
        await self._services.ukeys.settled(asyncio.get_running_loop().time() + 1.0)
        try:
            self._services.ukeys.check_there()
        except UkeyError:
            return False
        return True


def _budget(caller: Caller, seconds: float = DEADLINE, late: Late | None = None) -> Budget:
    return Budget(caller.originator_uid, seconds, late)


def _root(caller: Caller) -> None:
    if not caller.root:
        raise NotAllowed(Reason.ROOT_ONLY)


def _damage(error: UkeyError) -> Row:
    """What is wrong with a file: the reason's name, and the facts that its text needs."""
    why = str(error.facts.get("why", error.message))
    path = str(error.facts.get("path", ""))
    return {"damaged": True, "path": path, "why": why, **carried(why, error.facts)}
