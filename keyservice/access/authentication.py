# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login: who is it, what may they prove here, prove it. Other PAM modules check the password.

One place says SUCCESS, the end of :func:`_login`, and one says IGNORE, its beginning. A decoy has
neither: it takes the same steps as a login up to the proof (:func:`_ready`), and then it is raised.
"""

from __future__ import annotations

from contextlib import suppress

from keyservice.contract.names import Code, Flag, WaitFor
from keyservice.contract.steps import Verdict
from keyservice.core.errors import NotEnrolled, UkeyError
from keyservice.core.secret import Secret
from keyservice.core.username import Person

from . import identity, lookups, presence, prompted
from .context import Context
from .conversation import Conversation
from .factors import asked, missing
from .factors.factor import Ready
from .uniform import FirstTick


class Decoy(UkeyError):
    """A decoy: the stack had refused the login before."""


class _Quiet:
    """A conversation of one prompt, under ``uniform``: after it, nothing is shown."""

    prompted = False

    def __init__(self, conversation: Conversation, answer: Secret) -> None:
        self._conversation, self._answer = conversation, answer

    @property
    def originator_uid(self) -> int | None:
        return self._conversation.originator_uid

    def remaining(self) -> float:
        return self._conversation.remaining()

    async def info(self, text: str) -> None: ...

    async def error(self, text: str) -> None: ...

    async def wait(self, text: str, what: WaitFor) -> None: ...

    async def confirm(self, text: str) -> None: ...

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        return self._answer


async def authenticate(context: Context) -> Verdict:
    """Log the requested user in: the verdict, or any :class:`UkeyError`.

    Under ``uniform`` the PIN is asked before anything is looked at, where any factor there asks for
    one, and nothing else is shown; the session makes all failures alike and times them. A decoy
    does the same work, which every account on the host can see, but touches no ukey.
    """
    flags = context.request.flags
    if Flag.UNIFORM not in flags:
        if prompted.silent(context.request):
            return await _prompted(context)
        if prompted.late(context.request):
            context.conversation = prompted.Late(context.conversation, context.texts)
        return await _login(context)
    if not context.caller.root:
        # One person may own thousands of uids that are nobody's (subuid): with a prompt for
        # each, they would keep everybody's screen lockers out.
        await lookups.look_up(context, context.services.resolve_uid, context.caller.uid)
    answer = Secret(bytearray())
    if any(factor.asks for factor in asked(context)):
        answer = await context.conversation.ask(context.texts.pin_prompt())
    context.conversation = _Quiet(context.conversation, answer)
    async with FirstTick() as context.tick:
        if Flag.DECOY in flags:
            raise await _decoy(context)
        return await _login(context)


async def _prompted(context: Context) -> Verdict:
    """Log in a person whom no texts reach."""
    caller, request, failures = context.caller, context.request, context.services.failures
    before = failures.take(caller, request)
    conversation = prompted.Prompted(context.conversation, context.texts, before)
    context.conversation = conversation
    try:
        return await _login(context)
    except UkeyError as error:
        why = context.texts.error(error)
        if not await conversation.fail(why):
            failures.keep(caller, request, why)
        raise


async def _decoy(context: Context) -> Decoy:
    """Do what a login does before anything is proven, and say the same whatever came of it."""
    with suppress(UkeyError):
        await _ready(context)
    return Decoy()


async def _login(context: Context) -> Verdict:
    person, ready = await _ready(context)
    if ready is None:
        if Flag.NOUSEROK in context.request.flags:
            await identity.check_never_had(context, person)
            return Verdict(Code.IGNORE)
        raise NotEnrolled(user=person.name)
    async with presence.in_use(context):
        await ready.prove(context)
    admit = context.services.admissions.add
    caller, request, left = context.caller, context.request, lookups.left(context)
    await admit(caller, request, person, left, serial=context.serial, key=context.key)
    return Verdict(Code.SUCCESS)


async def _ready(context: Context) -> tuple[Person, Ready | None]:
    """The person, and what they must prove; None if it is proven that they are enrolled in nothing.

    Every step here is a decoy's as well; what follows it is not.
    """
    identity.judge(context)
    person = await identity.identify(context)
    for factor in asked(context):
        ready = await factor.ready(context, person)
        if ready is not None:
            return person, ready
    if await identity.enrolled(context, person) is not None:
        raise missing(context, person)  # they have something else: never "not enrolled"
    return person, None
