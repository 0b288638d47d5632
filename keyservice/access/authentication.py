# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login: the password was somebody else's matter, this is the ukey.

SUCCESS is said at one place, at the end of :func:`_login`; IGNORE at one, at its beginning.
"""

from __future__ import annotations

from functools import partial

from keyservice.contract.names import Code, Flag, WaitFor
from keyservice.contract.steps import Verdict
from keyservice.core.errors import NotEnrolled, RemoteRefused, SignatureWrong, UkeyError
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.crypto import sm2
from keyservice.store.bindings import Binding
from keyservice.ukeys.base import Keep

from . import approach
from .audit import Attempt
from .challenge import Challenge, Facts, Purpose
from .conversation import Conversation
from .uniform import FirstTick
from .world import UkeyHandle, World


class Decoy(UkeyError):
    """A decoy: the stack had refused the login before."""


class _Quiet:
    """A conversation of one prompt, under ``uniform``: all that follows it is silent."""

    def __init__(self, talk: Conversation, answer: Secret) -> None:
        self._talk, self._answer = talk, answer

    @property
    def session_id(self) -> bytes:
        return self._talk.session_id

    @property
    def person(self) -> int | None:
        return self._talk.person

    def remaining(self) -> float:
        return self._talk.remaining()

    async def info(self, text: str) -> None: ...

    async def error(self, text: str) -> None: ...

    async def wait(self, text: str, what: WaitFor) -> None: ...

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        return self._answer


async def authenticate(world: World, talk: Conversation, attempt: Attempt) -> Verdict:
    """Log the requested user in: the verdict, or any :class:`UkeyError`.

    Under ``uniform`` the PIN is asked before anything is looked at, and nothing else is shown;
    the session makes all failures alike and times them. A decoy touches no ukey.
    """
    flags = attempt.request.flags
    if Flag.UNIFORM in flags:
        if not attempt.caller.root:
            # One person may own thousands of uids that are nobody's (subuid): with a prompt for
            # each, he would keep everybody's screen lockers out.
            await approach.look_up(talk, world.resolve_uid, attempt.caller.uid)
        texts = world.texts(attempt.request)
        talk = _Quiet(talk, await talk.ask(texts.pin_prompt()))
        if Flag.DECOY in flags:
            raise Decoy()
        async with FirstTick() as tick:
            return await _login(world, talk, attempt, tick)
    return await _login(world, talk, attempt)


async def _login(
    world: World, talk: Conversation, attempt: Attempt, tick: FirstTick | None = None
) -> Verdict:
    request = attempt.request
    place = approach.judge(world, attempt)
    person = await approach.identify(world, talk, attempt)
    binding = await approach.binding_of(world, talk, person)
    if binding is None:
        if Flag.NOUSEROK in request.flags:
            return Verdict(Code.IGNORE)
        raise NotEnrolled(user=person.name)
    attempt.serial = binding.serial
    if not place.local and not world.rules.service(request.service).allow_remote:
        raise RemoteRefused(service=request.service)
    approach.check_revoked(world, binding)

    texts = world.texts(request)
    quiet = Flag.UNIFORM in request.flags
    patience = 0 if quiet else world.rules.patience(request.service)
    handle = await approach.find(world, talk, texts, binding.serial, patience)
    await approach.check_key(talk, handle, binding)
    world.throttle.check(binding.serial)
    keep = approach.keep(world, attempt)
    known = await approach.check_tries(talk, handle, approach.ref_of(binding), keep)

    few = known.left if known is not None and known.left < known.maximum else None
    pin = await approach.ask_pin(talk, texts.pin_prompt(binding.serial, few))
    proof = partial(_prove, world, talk, attempt, person, binding, handle, pin, keep)
    await approach.spend(world, talk, attempt, binding.serial, proof, tick=tick)
    _check_still_bound(world, person, binding)
    return Verdict(Code.SUCCESS)


async def _prove(
    world: World,
    talk: Conversation,
    attempt: Attempt,
    person: Person,
    binding: Binding,
    handle: UkeyHandle,
    pin: Secret,
    keep: Keep,
) -> None:
    """Have a fresh challenge signed, and verify it with the stored key."""
    facts = Facts(
        world.machine_id, person, binding.serial, attempt.request.service, talk.session_id
    )
    challenge = Challenge(Purpose.LOGIN, facts)
    digest = sm2.digest(binding.point, challenge.message())
    signature = await handle.sign(
        approach.ref_of(binding), pin, digest, keep, approach.deadline(talk)
    )
    if not world.engine.verify(binding.point, challenge.redeem(), signature):
        raise SignatureWrong(serial=binding.serial, reader=handle.info.reader)


def _check_still_bound(world: World, person: Person, binding: Binding) -> None:
    """The prompt may have stood for a minute, in which root may have unbound or revoked.

    One small file, which was read a moment ago: not worth a thread.
    """
    if world.bindings.named(person.name) != binding:
        raise NotEnrolled("The binding was changed meanwhile", user=person.name)
    approach.check_revoked(world, binding)
