# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``ukey``: the bound ukey, its PIN, and a signature over a fresh challenge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from keyservice.access import identity, locality, lookups, presence, tries
from keyservice.access.asking import asking
from keyservice.access.challenge import Purpose
from keyservice.access.context import Context
from keyservice.access.proof import Proof
from keyservice.access.services import UkeyHandle
from keyservice.contract.factors import UKEY
from keyservice.contract.names import Flag
from keyservice.core.errors import UkeyMissing
from keyservice.core.username import Person
from keyservice.store import records
from keyservice.store.records import Held


class Ukey:
    """See :class:`~keyservice.access.factors.factor.Factor`."""

    name = UKEY
    asks = True
    missing = UkeyMissing

    async def ready(self, context: Context, person: Person) -> Inserted | None:
        """All steps up to the inserted ukey: if it is not inserted, nothing follows in any case."""
        enrolment = await identity.enrolled(context, person)
        if enrolment is None:
            return None
        held = next(iter(enrolment.of(records.Purpose.LOGIN)), None)
        if held is None:
            return None
        binding = held.binding
        context.serial = binding.serial
        request, rules = context.request, context.services.rules
        place = identity.judge(context)
        if not place.local and not _allowed_from_afar(context, person):
            raise locality.refusal(place, request.service)
        identity.check_accepted(context, held)
        patience = 0 if Flag.UNIFORM in request.flags else rules.patience(request.service)
        handle = await presence.find(context, binding.serial, patience)
        return Inserted(person, held, handle)


def _allowed_from_afar(context: Context, person: Person) -> bool:
    """As the configuration says; if it says nothing, in a session that the same ukey opened."""
    services, request = context.services, context.request
    rules, host = services.rules, bool(request.rhost)
    if not asking(rules, request.service, local=False, host=host).admitted:
        return True
    return services.admissions.cover(context.caller, services.logind, person, context.serial)


@dataclass(frozen=True, slots=True)
class Inserted:
    """Somebody's ukey, which is inserted."""

    person: Person
    held: Held
    handle: UkeyHandle

    async def prove(self, context: Context) -> None:
        binding, handle = self.held.binding, self.handle
        await presence.check_key(context, handle, binding)
        ref, reserve = presence.ref_of(binding), tries.reserve(context)
        await tries.check_pause(context, handle, ref)
        known = await tries.check_tries(context, handle, ref, reserve)

        few = known.left if known is not None and known.left < known.maximum else None
        use = await handle.key_use(ref, lookups.deadline(context))
        prompt = context.texts.pin_prompt(binding.serial, few, touch=use.touch)
        pin = await tries.ask_pin(context, handle, prompt)
        proof = Proof(Purpose.LOGIN, self.person, handle, ref, binding.key)
        await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
        await identity.check_still(context, self.held)
