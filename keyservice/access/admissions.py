# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A session from afar, and what has opened it: a ukey, or a registered ssh key.

If a service lets people in from afar, su and sudo in their session are from afar as well. The ukey
that has opened it may be asked for in it again. They ask the same person, for the same ukey, in a
session that nobody else could open: so that allows no more than the login itself did. That an ssh
key has opened it is the factor ``session``, where the configuration says so. Both hold only for
that person's own authority, in a program that they began, as long as the session lasts.

The session is known by its leader: the process that logged its person in, if sshd asks PAM itself,
or the parent of that process, if a child of sshd asks.
"""

from __future__ import annotations

import logging

from keyservice.core.errors import RecordDamaged, StoreFailed, UkeyError
from keyservice.core.processes import lineage, lives
from keyservice.core.username import Person
from keyservice.store.admissions import ADMISSIONS_MAX, Admission, AdmissionsFile

from . import locality
from .conversation import Caller, Request
from .locality import Logind
from .saving import WRITE_SECONDS, Saving

_log = logging.getLogger(__name__)


class Admissions:
    """The state in memory counts; the file is for the next start. On the event loop's thread."""

    def __init__(self, file: AdmissionsFile) -> None:
        self._saving = Saving(file.save, lambda: tuple(self._admissions), _not_written)
        self._admissions: list[Admission] = []
        try:
            self._admissions = file.load()
        except (RecordDamaged, StoreFailed) as error:
            _log.warning(
                "%s; in sessions from afar su and sudo refuse people until they log in again", error
            )

    async def add(
        self,
        caller: Caller,
        request: Request,
        person: Person,
        seconds: float = WRITE_SECONDS,
        *,
        serial: str = "",
        key: str = "",
    ) -> None:
        """`person` is let in from afar, in no session yet, with the ukey `serial` or the ssh key
        `key`: one of the two.

        Any other login changes nothing. It waits for the disk as :meth:`Saving.save` does.
        """
        if not request.rhost or caller.logind_session is not None or caller.ruid != 0:
            return
        leaders = tuple(lineage(caller.pid, caller.started))
        if not leaders or bool(serial) is bool(key):
            return
        living = [
            each for each in self._admissions if any(lives(*process) for process in each.leaders)
        ]
        self._admissions = [*living, Admission(person.uid, serial, key, leaders)][-ADMISSIONS_MAX:]
        await self._saving.save(seconds)

    def cover(self, caller: Caller, logind: Logind, person: Person, serial: str) -> bool:
        """Whether `caller` acts for `person` in a session of theirs that this ukey has opened."""
        opened = self._opened(caller, logind, person)
        return bool(serial) and any(each.serial == serial for each in opened)

    def key(self, caller: Caller, logind: Logind, person: Person) -> str:
        """The fingerprint of the ssh key that has opened the session of `person` in which `caller`
        acts for them; "" if none has."""
        opened = self._opened(caller, logind, person)
        return opened[-1].key if opened else ""

    def _opened(self, caller: Caller, logind: Logind, person: Person) -> list[Admission]:
        """Those that have opened the session, oldest first, if it is `person`'s and goes on, and
        they have begun the program in it that asks."""
        if caller.logind_session is None or caller.originator_uid != person.uid:
            return []
        session = logind.describe(caller.logind_session)
        if session is None or session.uid != person.uid or not locality.goes_on(session):
            return []
        return [
            each
            for each in self._admissions
            if each.uid == person.uid
            and any(pid == session.leader and lives(pid, started) for pid, started in each.leaders)
        ]


def _not_written(error: UkeyError) -> None:
    _log.warning("%s; su and sudo in this session work until the service ends", error)
