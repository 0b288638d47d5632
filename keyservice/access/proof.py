# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""That somebody holds a key pair: a fresh challenge, signed by their ukey, verified here."""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.contract.names import WaitFor
from keyservice.core.errors import SignatureWrong
from keyservice.core.secret import Secret
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.operations import SIGN, Arguments

from . import lookups
from .challenge import Challenge, Facts, Purpose
from .context import Context
from .services import UkeyHandle


@dataclass(frozen=True, slots=True)
class Proof:
    """Who proves it, for what, and with which key of which ukey."""

    purpose: Purpose
    person: Person
    handle: UkeyHandle
    ref: KeyRef
    key: PublicKey  #: the stored one, whatever the ukey shows

    async def make(self, context: Context, pin: Secret, reserve: TryReserve) -> None:
        """Have the ukey sign, and verify it. Raises :class:`SignatureWrong`, and what the ukey
        raises."""
        info = self.handle.info
        login = self.purpose is Purpose.LOGIN
        facts = Facts(
            machine_id=context.services.machine_id,
            person=self.person,
            serial=info.serial,
            service=context.request.service if login else "",
            session_id=context.session_id,
        )
        challenge = Challenge(self.purpose, facts)
        data = algorithms.to_sign(self.key, challenge.message())
        sign = Arguments(self.ref, pin=pin, reserve=reserve, data=data)
        use = await self.handle.key_use(self.ref, lookups.deadline(context))
        if use.touch:
            await context.conversation.wait(context.texts.touch(info.serial), WaitFor.DEVICE)
        signature = await self.handle.do(SIGN, sign, lookups.deadline(context))
        if not algorithms.verify(self.key, challenge.redeem(), signature):
            raise SignatureWrong(serial=info.serial, reader=info.reader)
