# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A present ukey, as the rest of the service uses it."""

from __future__ import annotations

from typing import Any, TypeVar

from keyservice.core.errors import (
    PcscdAbsent,
    ReaderAbsent,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyMute,
    UkeyRemoved,
    UkeyRestarted,
)
from keyservice.core.reasons import Reason
from keyservice.crypto.key import PublicKey

from . import kinds
from .base import KeyRef, KeyUse, PinState, UkeyInfo
from .kind import MadeWith, PinRule
from .operations import GENERATE, KEY_USE, PUBLIC_KEY, Arguments, Operation
from .reader import Reader
from .wire import Answer, build_request

T = TypeVar("T")

#: Seconds that a person has to touch a ukey; ukeys themselves wait for about 15.
TOUCH_SECONDS = 20.0


class UkeyHandle:
    """One ukey, from its insertion to its removal."""

    def __init__(self, reader: Reader, info: UkeyInfo) -> None:
        self._reader = reader
        self.info = info

    @property
    def pin_rule(self) -> PinRule:
        """What its PIN may look like."""
        return kinds.named(self.info.kind).pin_rule

    @property
    def made_with(self) -> MadeWith:
        """What it wants to be told before it makes a pair."""
        return kinds.named(self.info.kind).made_with

    @property
    def makes(self) -> str:
        """The algorithm of a pair that it makes."""
        return kinds.named(self.info.kind).makes(self._reader.values)

    def can(self, operation: Operation[Any]) -> bool:
        """Whether ukeys of its kind can do it."""
        return operation.needs is None or operation.needs in kinds.named(self.info.kind).can

    def check_can(self, operation: Operation[Any]) -> None:
        """Raise :class:`BadRequest`, with the reason, where :meth:`can` says no."""
        if operation.needs is not None and not self.can(operation):
            raise operation.needs.refused(self.info.kind)

    def known_pin(self, ref: KeyRef) -> PinState | None:
        """The user PIN's state as last seen, without asking the ukey; None if it was never seen."""
        return self._reader.pins.get(ref.application) if self._current else None

    async def public_key(self, ref: KeyRef, deadline: float) -> PublicKey:
        """The signing key; the ukey is asked once per insertion. Raises :class:`NoKeyPair`."""
        key = self._reader.keys.get(ref) if self._current else None
        if key is None:
            key = await self.do(PUBLIC_KEY, Arguments(ref), deadline)
        return key

    async def key_use(self, ref: KeyRef, deadline: float) -> KeyUse:
        """What the use of the pair asks for; the ukey is asked once per insertion."""
        use = self._reader.uses.get(ref) if self._current else None
        if use is None:
            use = await self.do(KEY_USE, Arguments(ref), deadline)
        return use

    async def do(
        self,
        operation: Operation[T],
        arguments: Arguments,
        deadline: float,
        *,
        idle: bool = False,
    ) -> T:
        """Have the ukey do it, when its turn comes; if `idle`, that is when nobody else waits.

        `deadline` is a monotonic time for queueing and work together; the work alone is also
        limited by the configuration, but for what a person's finger takes. Raises what
        :meth:`check_can` raises, :class:`UkeyMute`, :class:`UkeyRemoved`, :class:`UkeyRestarted`
        if pcscd has gone, :class:`UkeyHeld`, :class:`ReaderAbsent` and :class:`UkeyFailed`; where
        it takes a PIN also :class:`PinWrong` (facts: left, maximum), :class:`PinLocked`,
        :class:`TryWithheld` and :class:`PinRefused`.
        """
        self.check_can(operation)
        reader, queue, ref = self._reader, self._reader.queue, arguments.ref
        if not self._current or queue is None:
            raise self._gone()
        application = ref.application if ref else ""

        def note(answer: Answer) -> None:
            if answer.seen_pin is not None and self._current:
                reader.pins[application] = answer.seen_pin

        def take(answer: Answer) -> T:
            # kept even if nobody waits for the answer any more: a slow ukey is asked once
            result = answer.take(operation)
            if ref is not None and self._current:
                if isinstance(result, PublicKey):
                    reader.keys[ref] = result
                    if operation is GENERATE:  # what was said of the empty container
                        reader.uses.pop(ref, None)
                elif isinstance(result, KeyUse):
                    reader.uses[ref] = result
            return result

        message = build_request(operation, self.info.serial, reader.values, arguments)
        try:
            more = operation.seconds
            if operation.touches and ref is not None and reader.uses.get(ref, KeyUse()).touch:
                more += TOUCH_SECONDS
            return await queue.submit(message, deadline, take, note, more=more, idle=idle)
        except (UkeyMute, UkeyFailed):
            reader.pins.pop(application, None)  # a try may or may not have been spent
            raise
        except PcscdAbsent as error:
            raise self._restarted() from error
        except ReaderAbsent:
            reader.doubt(self.info)
            raise
        except UkeyAbsent as error:
            reader.doubt(self.info)
            raise UkeyRemoved(serial=self.info.serial) from error

    def _gone(self) -> UkeyError:
        """Why it is not there any more."""
        if isinstance(self._reader.ended, PcscdAbsent):
            return self._restarted()
        return UkeyRemoved(serial=self.info.serial)

    def _restarted(self) -> UkeyRestarted:
        return UkeyRestarted(serial=self.info.serial, why=Reason.PCSCD_ENDED)

    @property
    def _current(self) -> bool:
        return self._reader.info is self.info
