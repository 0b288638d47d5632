# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be asked without a conversation, and what root can put right. Each checks its caller.

A caller other than root sees the readers with a ukey and whether it is its own, and of its own
the serial, the label, the tries and the binding.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from keyservice.core import selinux
from keyservice.core.errors import BadRequest, NotAllowed, NotEnrolled, UkeyError
from keyservice.store.bindings import Binding
from keyservice.store.fingerprint import FINGERPRINT
from keyservice.store.revocations import Revocation

from . import threads
from .challenge import foreign_message
from .conversation import Caller
from .enrolment import doer, now
from .session import Sessions
from .world import Presence, World

#: A row of an answer: text, numbers and yes or no, by name.
Row = dict[str, str | int | bool]

_Records = tuple[list[Binding], list[UkeyError]]

#: Seconds that a query may take on this host's disk and name service.
DEADLINE = 5.0


class Queries:
    """All of them. May be called from the event loop."""

    def __init__(self, world: World, sessions: Sessions, version: str) -> None:
        self._world, self._sessions, self._version = world, sessions, version
        self._reading: asyncio.Task[_Records] | None = None
        self._next: asyncio.Task[_Records] | None = None

    async def list_ukeys(self, caller: Caller) -> list[Row]:
        """The readers with a card in them; for root all readers, and what is in them."""
        await self._pcscd()  # a ukey that is still being recognised would pass for a foreign card
        bindings, _ = await self._records()
        owners = {binding.serial: binding for binding in bindings}
        rows = []
        for presence in self._world.ukeys.present():
            if caller.root or presence.info is not None:
                rows.append(self._ukey(caller, presence, owners))
        return rows

    async def list_bindings(self, caller: Caller) -> list[Row]:
        """The bindings, for root also the records that cannot be trusted."""
        bindings, damaged = await self._records()
        rows: list[Row] = []
        for binding in bindings:
            if caller.root or binding.uid == caller.uid:
                revoked = self._world.revocations.find(binding.fingerprint) is not None
                rows.append({**asdict(binding), "key": binding.fingerprint, "revoked": revoked})
        if caller.root:
            rows.extend(_damage(error) for error in damaged)
        return rows

    async def status(self, caller: Caller) -> Row:
        """How the service does, and what weakens it."""
        rules, pcscd = self._world.rules, await self._pcscd()
        row: Row = {
            "version": self._version,
            "sm2_engine": self._world.engine.name,
            "allow_virtual_readers": rules.allow_virtual_readers,
            "shared_pcsc": rules.shared_pcsc,
            "pcscd": pcscd,
            "readers": len(self._world.ukeys.present()),
        }
        if (domain := selinux.domain()) is not None:
            row["selinux"] = domain
        if caller.root:
            bindings, damaged = await self._records()
            row["bindings"] = len(bindings)
            row["damaged_records"] = len(damaged)
            row["revocations"] = len(self._world.revocations.all())
            row["sessions"] = len(self._sessions)
        return row

    async def verify_challenge(
        self, caller: Caller, user: str, challenge: bytes, signature: bytes
    ) -> bool:
        """Whether the ukey of `user` signed ``challenge.foreign_message`` of `challenge`.

        For root. `challenge` has 32 to 64 bytes, `signature` is r ‖ s, 64 bytes. False for a
        signature of a revoked key. Raises :class:`NotEnrolled` and the store's errors.
        """
        _root(caller)
        message = foreign_message(challenge)
        person = await threads.call(DEADLINE, caller.person, self._world.resolve, user)
        binding = await threads.call(DEADLINE, caller.person, self._world.bindings.of, person)
        if binding is None:
            raise NotEnrolled(user=person.name)
        revoked = self._world.revocations.find(binding.fingerprint) is not None
        right = self._world.engine.verify(binding.point, message, signature)
        verdict = right and not revoked
        self._world.audit.event(
            "verify-challenge",
            caller,
            user=person.name,
            serial=binding.serial,
            verdict="right" if verdict else "revoked" if right else "wrong",
        )
        return verdict

    async def list_revocations(self, caller: Caller) -> list[Row]:
        """The revocations in force, oldest first. For root."""
        _root(caller)
        revocations = await threads.call(DEADLINE, caller.person, self._world.revocations.all)
        return [
            {"key": r.key, "user": r.user, "serial": r.serial, "at": r.at, "by": r.by}
            for r in revocations
        ]

    async def unrevoke(self, caller: Caller, key: str) -> None:
        """Take back the revocation of the key with the fingerprint `key`. For root, audited.

        Raises :class:`BadRequest` where no such key is revoked.
        """
        _root(caller)
        key = key.lower()
        if not FINGERPRINT.fullmatch(key):
            raise BadRequest("A fingerprint has 64 hexadecimal digits")
        found = await threads.call(DEADLINE, caller.person, self._world.revocations.find, key)
        if found is None:
            raise BadRequest("No key with that fingerprint is revoked")
        event = Revocation(key, False, now(), doer(caller), found.user, found.serial)
        await threads.call(DEADLINE, caller.person, self._world.revocations.append, event)
        self._world.audit.event(
            "unrevoke", caller, user=found.user, serial=found.serial, key=key, verdict="done"
        )

    async def reset_throttle(self, caller: Caller, serial: str) -> None:
        """End the pause of a ukey after wrong PINs. For root, audited.

        Raises :class:`BadRequest` for a serial of which nothing is known: it was mistyped.
        """
        _root(caller)
        if not await self._known(caller, serial):
            raise BadRequest("No ukey with that serial is bound, inserted or paused")
        await self._world.throttle.passed(serial)
        self._world.audit.event("reset-throttle", caller, serial=serial, verdict="done")

    async def _records(self) -> _Records:
        """All records, read once for everybody who asks before the reading begins.

        Anyone may ask, as often as he likes: a reading for each would take the threads that logins
        need, and the processor too where there are hundreds of records.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._read(self._reading))
        return await asyncio.shield(self._next)

    async def _read(self, earlier: asyncio.Task[_Records] | None) -> _Records:
        if earlier is not None:
            await asyncio.wait({earlier})
        self._reading, self._next = self._next, None
        return await threads.call(DEADLINE, 0, self._world.bindings.all)

    def _ukey(self, caller: Caller, presence: Presence, owners: dict[str, Binding]) -> Row:
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
                "pause": self._world.throttle.pause(info.serial),
            }
        if presence.pin is not None:
            row |= {"left": presence.pin.left, "maximum": presence.pin.maximum}
        if owner is not None:
            row["user"] = owner.user
        return row

    async def _known(self, caller: Caller, serial: str) -> bool:
        if self._world.throttle.counts(serial):
            return True
        infos = [each.info for each in self._world.ukeys.present()]
        bindings, _ = await threads.call(DEADLINE, caller.person, self._world.bindings.all)
        return any(each is not None and each.serial == serial for each in (*infos, *bindings))

    async def _pcscd(self) -> bool:
        try:
            await self._world.ukeys.settled(asyncio.get_running_loop().time() + 1.0)
        except UkeyError:
            return False
        return True


def _root(caller: Caller) -> None:
    if not caller.root:
        raise NotAllowed("Only root may do this")


def _damage(error: UkeyError) -> Row:
    return {
        "damaged": True,
        "path": str(error.facts.get("path", "")),
        "why": str(error.facts.get("why", error.message)),
    }
