# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The questions without a conversation, and root's repairs. Each method checks its caller.

A caller other than root sees the readers with a ukey and whether the ukey is its own. Of its own
ukey it also sees the serial, the label, the tries and the binding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from dataclasses import asdict
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

from keyservice.core import selinux, threads
from keyservice.core.errors import (
    BadRequest,
    ChangeLate,
    NotAllowed,
    NotEnrolled,
    RecordDamaged,
    RecordsUnclear,
    StoreFailed,
    UkeyError,
    UnknownUser,
)
from keyservice.core.reasons import Reason, told
from keyservice.core.threads import Budget, Late
from keyservice.core.username import file_name
from keyservice.crypto import algorithms
from keyservice.store.people import NO_UID, Event, now
from keyservice.store.records import Binding, Inventory, Purpose
from keyservice.store.revocations import Revocation

from . import examination, listing, policy, shares, transfer
from .challenge import foreign_message
from .conversation import Caller
from .enrolment import doer
from .listing import Row as Row
from .services import Services
from .session import Sessions

#: Seconds that a question may take on this host's disk and name service.
DEADLINE = 5.0
#: Seconds within which a change by root still gets its line in the log, if nobody waits any more.
AT_LAST = 3600.0
_T = TypeVar("_T")


class Administration:
    """All questions and repairs. May be called from the event loop."""

    def __init__(self, services: Services, sessions: Sessions, version: str) -> None:
        self._services, self._sessions, self._version = services, sessions, version
        self._records = services.records
        self._changes: set[asyncio.Task[Any]] = set()

    async def list_ukeys(self, caller: Caller) -> list[Row]:
        """The readers with a card in them; for root all readers, and what is in them."""
        await self._pcscd()  # a ukey that is still being recognised would look like a foreign card
        kept, _unread = await self._kept(caller)
        inserted = {each.info.serial for each in self._services.ukeys.present() if each.info}
        login, mine = Purpose.LOGIN, [each for each in kept.bindings if each.serial in inserted]
        # a ukey that has two keys is told by the one for the login
        mine.sort(key=lambda each: each.purpose is login)
        owners = {each.serial: each for each in mine}
        told = await self._told(caller, kept, owners.values())
        given_up = {each.serial for each in kept.revocations or ()}
        rows = []
        for presence in self._services.ukeys.present():
            if caller.root or presence.info is not None:
                row = listing.ukey(self._services, caller, presence, owners)
                if "user" in row:
                    row |= told[owners[str(row["serial"])].fingerprint]
                elif row.get("serial") in given_up:  # it was found again, or never lost
                    row["revoked"] = True
                rows.append(row)
        return rows

    async def probe(self, caller: Caller) -> tuple[list[Row], list[Row]]:
        """The readers and what each kind of ukeys finds in them, without a PIN. For root."""
        _root(caller)
        await self._pcscd()
        return await examination.rows(self._services.ukeys)

    async def list_bindings(self, caller: Caller) -> list[Row]:
        """The bindings, for root also the records that cannot be trusted."""
        kept, unread = await self._kept(caller)
        mine = [each for each in kept.bindings if caller.root or each.uid == caller.uid]
        if not caller.root and not mine:  # they are not told that they have none
            if unread is not None:
                raise unread
            if kept.damaged:
                await self._check_none(caller)
        told = await self._told(caller, kept, mine)
        rows = [
            {**asdict(each), "key": each.fingerprint, **listing.ssh(each), **told[each.fingerprint]}
            for each in mine
        ]
        if caller.root:
            rows.extend(map(listing.damage, kept.damaged))
            for stray in map(listing.damage, kept.strays):
                del stray["damaged"]
                rows.append({"stray": True, **stray})
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
            kept, unread = await self._kept(caller)
            if unread is None:
                row["bindings"] = len(kept.bindings)
                refused = [listing.is_refused(rules, each) for each in kept.bindings]
                row["refused_bindings"] = sum(refused)
            row["damaged_records"] = len(kept.damaged)
            for error in kept.damaged[:1]:
                first = listing.damage(error)
                row |= {"damaged_path": first.pop("path"), **first}
                del row["damaged"]
            if kept.revocations is not None:
                row["revocations"] = len(kept.revocations)
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
        enrolment = await self._records.enrolled(person, _budget(caller))
        theirs = enrolment.of(Purpose.LOGIN) if enrolment is not None else ()
        if not theirs:
            raise NotEnrolled(user=person.name)
        for held in theirs:  # theirs is the one whose key verifies; the last one if none does
            if held.damage is not None:
                raise held.damage
            right = algorithms.verify(held.binding.key, message, signature)
            if right:
                break
        binding, revoked = held.binding, held.revoked
        if right or len(theirs) == 1:
            policy.check_algorithm(self._services.rules, binding.algorithm, binding.serial)
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
        by = doer(caller)

        async def forgotten() -> list[Event]:
            events = await self._records.forget(user, uid, by, _budget(caller, AT_LAST))
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

        async def accepted() -> list[Row]:
            found = await self._records.accept(doer(caller), _budget(caller, AT_LAST))
            rows = list(map(listing.damage, found))
            for row in rows:
                facts = {"path": row["path"], "why": told(str(row["why"]), row)}
                self._services.audit.event("accept-state", caller, **facts, verdict="done")
            return rows

        return await self._to_the_end("accept-state", caller, accepted())

    async def export_bindings(self, caller: Caller) -> tuple[str, list[Row]]:
        """A document of all bindings but those with a revoked key, and a row for each of the
        latter. For root, audited. Raises the error of what is damaged: it would be missing."""
        _root(caller)
        good, left = transfer.kept(await self._records.inventory(_budget(caller)))
        self._services.audit.event("export-bindings", caller, count=len(good), verdict="done")
        return transfer.document(good), list(map(transfer.key, left))

    async def check_import(self, caller: Caller, document: str) -> list[Row]:
        """What :meth:`import_bindings` would do, a row for each key. For root."""
        _root(caller)
        found = await transfer.entries(self._services, document, doer(caller), _budget(caller))
        return [each.row for each in found]

    async def import_bindings(self, caller: Caller, document: str) -> list[Row]:
        """Bind all keys in `document`, or none of them. For root, audited.

        Raises :class:`BadRequest` for a document that cannot be used, or if a key in it is refused.
        """
        _root(caller)
        found = await transfer.entries(self._services, document, doer(caller), _budget(caller))
        new = transfer.new(found)

        async def imported() -> list[Row]:
            limits = transfer.limits(self._services.rules)
            await self._records.add_all(new, limits, _budget(caller, AT_LAST))
            for each in new:
                facts = {"user": each.user, "serial": each.serial, "key": each.fingerprint}
                self._services.audit.event("import-bindings", caller, **facts, verdict="done")
            return [each.row for each in found]

        return await self._to_the_end("import-bindings", caller, imported())

    async def list_revocations(self, caller: Caller) -> list[Row]:
        """The revocations in force, oldest first. For root."""
        _root(caller)
        revocations = await self._records.revocations(_budget(caller))
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
        found = await self._records.revocation(key, _budget(caller))
        if found is None:
            raise BadRequest(Reason.NOT_REVOKED)
        event = Revocation(key, False, now(), doer(caller), found.user, found.serial)
        facts = {"user": found.user, "serial": found.serial, "key": key}

        def ended(verdict: str, error: BaseException | None) -> None:
            if error is not None:
                verdict = type(error).__name__
            self._services.audit.event("unrevoke", caller, **facts, verdict=verdict)

        late = partial(ended, "done-late")
        try:
            await self._records.revoke(event, _budget(caller, late=late))
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
            raise ChangeLate() from None

    async def _check_none(self, caller: Caller) -> None:
        """Raise :class:`RecordDamaged` if nobody can tell whether a ukey is bound to the caller."""
        try:
            budget = _budget(caller)
            person = await threads.call(budget, self._services.resolve_uid, caller.uid)
            await self._records.enrolled(person, budget)
        except UnknownUser:
            return
        except RecordDamaged as error:
            if PurePath(str(error.facts.get("path"))).name == file_name(person.name):
                raise
            # whose file it is, is not theirs to know
            raise RecordsUnclear(Reason.UNCLEAR) from None

    async def _kept(self, caller: Caller) -> tuple[Inventory, UkeyError | None]:
        """All that is kept, and why nothing of it can be read: a folder that is gone or open is
        damage as its files are, and hides nothing else."""
        try:
            return await self._records.inventory(_budget(caller)), None
        except (RecordDamaged, StoreFailed) as error:
            return Inventory([], [error], await self._revocations(caller)), error

    async def _revocations(self, caller: Caller) -> list[Revocation] | None:
        try:
            return await self._records.revocations(_budget(caller))
        except (RecordDamaged, StoreFailed):
            return None

    async def _told(
        self, caller: Caller, kept: Inventory, bindings: Collection[Binding]
    ) -> dict[str, Row]:
        return await listing.told(self._services, kept, bindings, _budget(caller))

    async def _known(self, caller: Caller, serial: str) -> bool:
        if self._services.throttle.counts(serial):
            return True
        infos = [each.info for each in self._services.ukeys.present()]
        kept = await self._records.inventory(_budget(caller))
        return any(each is not None and each.serial == serial for each in (*infos, *kept.bindings))

    async def _pcscd(self) -> bool:
        await self._services.ukeys.settled(asyncio.get_running_loop().time() + 1.0)
        try:
            self._services.ukeys.check_there()
        except UkeyError:
            return False
        return True


def _budget(caller: Caller, seconds: float | None = None, late: Late | None = None) -> Budget:
    """As for a session of the caller's: root's own programs take none of a console's threads."""
    seconds = DEADLINE if seconds is None else seconds
    return Budget(shares.of_caller(caller).originator_uid, seconds, late)


def _root(caller: Caller) -> None:
    if not caller.root:
        raise NotAllowed(Reason.ROOT_ONLY)
