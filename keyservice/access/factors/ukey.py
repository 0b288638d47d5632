# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``ukey``: a bound ukey, its PIN, and a signature over a fresh challenge.

A person may have several. Any that is inserted will do; one is asked, and its PIN goes to no other:
the first, as they were bound, that is accepted and whose PIN may be asked. The prompt names it, so
somebody who means another takes this one out. A prompt under ``uniform`` names none: there nothing
is asked of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from keyservice.access import identity, lookups, presence, tries
from keyservice.access.asking import asking
from keyservice.access.challenge import Purpose
from keyservice.access.context import Context
from keyservice.access.messages import UkeyName, ukey_name
from keyservice.access.proof import Proof
from keyservice.access.services import UkeyHandle
from keyservice.contract.factors import UKEY
from keyservice.contract.names import Flag
from keyservice.core.errors import UkeyAbsent, UkeyError, UkeyMissing, UkeysInserted
from keyservice.core.username import Person
from keyservice.store import records
from keyservice.store.records import Held
from keyservice.ukeys.base import PinState

from .session import refusal

#: Somebody's ukey, which is inserted.
Found = tuple[Held, UkeyHandle]


class Ukey:
    """See :class:`~keyservice.access.factors.factor.Factor`."""

    name = UKEY
    asks = True
    missing = UkeyMissing

    async def ready(self, context: Context, person: Person) -> Inserted | None:
        """All steps up to the inserted ukey: if it is not inserted, nothing follows in any case."""
        theirs = await identity.held(context, person, records.Purpose.LOGIN)
        if not theirs:
            return None
        if len(theirs) == 1:
            context.serial = theirs[0].binding.serial
        place = identity.judge(context)
        if not place.local:
            theirs = _allowed_from_afar(context, person, theirs)
            if not theirs:
                raise refusal(context, person)
        found = await _inserted(context, theirs)
        if len(found) == 1:
            context.serial = found[0][0].binding.serial
        elif Flag.UNIFORM in context.request.flags:
            raise UkeysInserted(ukeys=", ".join(map(_name, found)))
        return Inserted(person, tuple(found))


def _allowed_from_afar(
    context: Context, person: Person, theirs: tuple[Held, ...]
) -> tuple[Held, ...]:
    """As the configuration says; if it says nothing, those that opened the caller's session."""
    services, request = context.services, context.request
    rules, host = services.rules, bool(request.rhost)
    if not asking(rules, request.service, local=False, host=host).admitted:
        return theirs
    cover, caller, logind = services.admissions.cover, context.caller, services.logind
    return tuple(each for each in theirs if cover(caller, logind, person, each.binding.serial))


async def _inserted(context: Context, theirs: Sequence[Held]) -> list[Found]:
    """Those that are inserted, in their order; one that is not accepted does not count.

    If none is accepted, or the accepted ones are absent, it is told why one that is inserted is
    not accepted.
    """
    accepted: list[Held] = []
    refused: list[tuple[str, UkeyError]] = []
    for each in theirs:
        try:
            identity.check_accepted(context, each)
            accepted.append(each)
        except UkeyError as error:
            refused.append((each.binding.serial, error))
    if not accepted:
        context.serial, why = _in_reader(context, refused) or refused[0]
        raise why
    request, rules = context.request, context.services.rules
    patience = 0 if Flag.UNIFORM in request.flags else rules.patience(request.service)
    serials = {each.binding.serial: each for each in accepted}
    if refused:
        await context.services.ukeys.settled(lookups.deadline(context), *serials)
        if (shown := _in_reader(context, refused)) and not _in_reader(
            context, [(serial, shown[1]) for serial in serials]
        ):
            await context.conversation.info(context.texts.error(shown[1]))
    bindings = [each.binding for each in accepted]
    try:
        handles = await presence.find_any(context, bindings, patience)
    except UkeyAbsent:
        if (shown := _in_reader(context, refused)) is None:
            raise
        context.serial, why = shown
        raise why from None
    return [(serials[each.info.serial], each) for each in handles]


def _in_reader(
    context: Context, ukeys: Sequence[tuple[str, UkeyError]]
) -> tuple[str, UkeyError] | None:
    """The first whose serial a ukey in a reader has."""
    infos = [each.info for each in context.services.ukeys.present()]
    there = {info.serial for info in infos if info is not None}
    return next((each for each in ukeys if each[0] in there), None)


def _name(found: Found) -> UkeyName:
    binding = found[0].binding
    return ukey_name(binding.serial, binding.label)


@dataclass(frozen=True, slots=True)
class Inserted:
    """Those of somebody's ukeys that are inserted; one at least."""

    person: Person
    found: tuple[Found, ...]

    async def prove(self, context: Context) -> None:
        (held, handle), known = await self._asked(context)
        binding, reserve = held.binding, tries.reserve(context)
        ref = presence.ref_of(binding)
        few = known.left if known is not None and known.left < known.maximum else None
        use = await handle.key_use(ref, lookups.deadline(context))
        prompt = context.texts.pin_prompt(_name((held, handle)), few, touch=use.touch)
        pin = await tries.ask_pin(context, handle, prompt)
        proof = Proof(Purpose.LOGIN, self.person, handle, ref, binding.key)
        await tries.spend(context, handle, ref, partial(proof.make, context, pin, reserve))
        await identity.check_still(context, held)

    async def _asked(self, context: Context) -> tuple[Found, PinState | None]:
        """The ukey that is asked, and its tries as last seen: the first whose PIN may be asked.

        If there is none, what is wrong with the first is raised. No PIN is known yet, so no try is
        spent on any.
        """
        wrong: list[tuple[Found, UkeyError]] = []
        for number, each in enumerate(self.found):
            context.serial = each[0].binding.serial
            try:
                known = await _may_be_asked(context, each)
            except UkeyError as error:
                wrong.append((each, error))
                continue
            if wrong:
                await context.conversation.info(context.texts.error(wrong[0][1]))
            left = self.found[number:]
            if len(left) > 1:
                names = list(map(_name, left))
                await context.conversation.info(context.texts.several_inserted(names))
            return each, known
        first, why = wrong[0]
        context.serial = first[0].binding.serial
        raise why


async def _may_be_asked(context: Context, found: Found) -> PinState | None:
    """The tries of its PIN, as last seen. Raises why it may not be asked."""
    held, handle = found
    ref, reserve = presence.ref_of(held.binding), tries.reserve(context)
    await presence.check_key(context, handle, held.binding)
    await tries.check_pause(context, handle, ref)
    return await tries.check_tries(context, handle, ref, reserve)
