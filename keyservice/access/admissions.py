# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A session from afar that a ukey has opened: the same ukey may be asked for in it again.

If a service lets people in from afar, su and sudo in their session are from afar as well. They ask
the same person, for the same ukey, in a session that nobody else could open: so that allows no more
than the login itself did. It holds only for that person's own authority, in a program that they
began, as long as the session lasts, and unless the configuration says otherwise.

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
            _log.warning("%s; sessions from afar are asked for no ukey until they log in", error)

    async def add(
        self,
        caller: Caller,
        request: Request,
        person: Person,
        serial: str,
        seconds: float = WRITE_SECONDS,
    ) -> None:
        """`person` is let in with the ukey `serial`, from afar and in no session yet.

        Any other login changes nothing. It waits for the disk as :meth:`Saving.save` does.
        """
        if not request.rhost or caller.logind_session is not None or caller.ruid != 0:
            return
        leaders = tuple(lineage(caller.pid, caller.started))
        if not leaders or not serial:
            return
        living = [
            each for each in self._admissions if any(lives(*process) for process in each.leaders)
        ]
        self._admissions = [*living, Admission(person.uid, serial, leaders)][-ADMISSIONS_MAX:]
        await self._saving.save(seconds)

    def cover(self, caller: Caller, logind: Logind, person: Person, serial: str) -> bool:
        """Whether `caller` acts for `person` in a session of theirs that this ukey has opened."""
        if caller.logind_session is None or caller.originator_uid != person.uid:
            return False
        session = logind.describe(caller.logind_session)
        if session is None or session.uid != person.uid or not locality.goes_on(session):
            return False
        mine = [
            each for each in self._admissions if (each.uid, each.serial) == (person.uid, serial)
        ]
        return any(
            pid == session.leader and lives(pid, started)
            for each in mine
            for pid, started in each.leaders
        )


def _not_written(error: UkeyError) -> None:
    _log.warning("%s; su and sudo in this session work until the service ends", error)
