# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``session``: the person's own login session, which a registered ssh key has opened.

For su and sudo in it: the ukey is at the machine that the person sits at, and sshd verifies nothing
there. It proves no more than the login did, to the person or to somebody who has taken over the
session; the stack asks for the password beside it. So nobody counts it unless the configuration
says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.access import identity, locality, lookups
from keyservice.access.context import Context
from keyservice.contract.factors import SESSION
from keyservice.core.errors import RemoteRefused, SessionUnproven, SshKeyUnregistered
from keyservice.core.username import Person
from keyservice.crypto.ssh_wire import spell
from keyservice.store.records import Held, Purpose

from .ssh_key import check_usable


class Session:
    """See :class:`~keyservice.access.factors.factor.Factor`."""

    name = SESSION
    asks = False
    missing = SshKeyUnregistered

    async def ready(self, context: Context, person: Person) -> Opened | None:
        own = await identity.held(context, person, Purpose.SSH)
        if not own:
            return None
        key = _key(context, person)
        held = next((each for each in own if each.binding.fingerprint == key), None)
        if held is None:
            raise _unproven(context, person, "its key is not registered any more" if key else "")
        check_usable(context, held, _facts(held))
        return Opened(person, held)


def refusal(context: Context, person: Person) -> RemoteRefused:
    """Why somebody from afar is refused who is asked for nothing there. Where their session would
    be a factor, the log has the line that makes it one."""
    place, service = identity.judge(context), context.request.service
    line = f"[services.{service}] factors_from_afar = ['{SESSION}']"
    message = f"An ssh key has opened the session, which counts with {line}"
    return locality.refusal(place, service, message if _key(context, person) else "")


def _key(context: Context, person: Person) -> str:
    """The fingerprint of the key that has opened the caller's session; "" if none has."""
    if context.request.rhost:  # a program inside a session names no host
        return ""
    services = context.services
    return services.admissions.key(context.caller, services.logind, person)


def _unproven(context: Context, person: Person, why: str) -> SessionUnproven:
    place = identity.judge(context)
    facts = {"why": str(place.why), "service": context.request.service, "user": person.name}
    return SessionUnproven(f"An ssh key has opened the session: {why}" if why else "", **facts)


def _facts(held: Held) -> dict[str, str]:
    return {"user": held.binding.user, "ssh": spell(held.binding.key).fingerprint}


@dataclass(frozen=True, slots=True)
class Opened:
    """The registered key that has opened the person's session."""

    person: Person
    held: Held

    async def prove(self, context: Context) -> None:
        context.key = self.held.binding.fingerprint
        now = await context.services.records.still(self.held, lookups.budget(context))
        if now is None or _key(context, self.person) != context.key:
            raise _unproven(context, self.person, "something was changed meanwhile")
        check_usable(context, now, _facts(now))
