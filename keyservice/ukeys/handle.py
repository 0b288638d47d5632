# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A present ukey, as the rest of the service uses it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from keyservice.core.errors import UkeyAbsent, UkeyFailed, UkeyMute, UkeyRemoved
from keyservice.core.secret import Secret

from .base import Container, Keep, KeyRef, PinState, PublicKey, UkeyInfo
from .slot import Slot
from .wire import Answer, Op, build_request

T = TypeVar("T")


class UkeyHandle:
    """One ukey, from its insertion to its removal.

    Calls wait for their turn on the reader. A `deadline` is a monotonic time for queueing and work
    together; the work alone is also limited by the configuration. Every call may raise
    :class:`UkeyMute`, :class:`UkeyRemoved`, :class:`ReaderAbsent` and :class:`UkeyFailed`;
    those that take a PIN also :class:`PinWrong` (facts: left, maximum), :class:`PinLocked`,
    :class:`TryWithheld` and :class:`PinRefused`. Secrets remain the caller's to wipe.
    """

    def __init__(self, slot: Slot, info: UkeyInfo) -> None:
        self._slot = slot
        self.info = info

    def known_pin(self, ref: KeyRef) -> PinState | None:
        """The user PIN's state as last seen, without asking the ukey; None where it was not."""
        return self._slot.pins.get(ref.application) if self._current else None

    async def applications(self, deadline: float) -> list[str]:
        """The names of the applications on the ukey, those that hold no container too."""
        return await self._call(Op.APPLICATIONS, deadline, Answer.applications)

    async def containers(self, deadline: float) -> list[Container]:
        """What is on the ukey, at most 32 containers."""
        return await self._call(Op.CONTAINERS, deadline, Answer.containers)

    async def public_key(self, ref: KeyRef, deadline: float) -> PublicKey:
        """The signing key; the ukey is asked once per insertion. Raises :class:`NoKeyPair`."""
        key = self._slot.keys.get(ref) if self._current else None
        if key is None:
            # learnt even if nobody waits for the answer any more: a slow ukey is asked once
            key = await self._call(Op.PUBLIC_KEY, deadline, partial(self._learn, ref), ref)
        return key

    async def pin_state(self, ref: KeyRef, deadline: float, *, admin: bool = False) -> PinState:
        """The user PIN's state, or the administrator's, read now."""
        return await self._call(Op.PIN_STATE, deadline, Answer.state, ref, admin=admin)

    async def verify_pin(self, ref: KeyRef, pin: Secret, keep: Keep, deadline: float) -> PinState:
        """Prove the PIN and nothing else."""
        return await self._call(Op.VERIFY_PIN, deadline, Answer.state, ref, pin=pin, keep=keep)

    async def sign(
        self, ref: KeyRef, pin: Secret, digest: bytes, keep: Keep, deadline: float
    ) -> bytes:
        """r ‖ s, 64 bytes, over the 32-byte `digest`. Proves nothing until it is verified."""
        return await self._call(
            Op.SIGN, deadline, Answer.signature, ref, pin=pin, keep=keep, digest=digest
        )

    async def change_pin(
        self, ref: KeyRef, old: Secret, new: Secret, keep: Keep, deadline: float
    ) -> None:
        """From `old` to `new`; after an error that is not about a PIN, it may be either."""
        await self._call(Op.CHANGE_PIN, deadline, _nothing, ref, pin=old, new_pin=new, keep=keep)

    async def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret, deadline: float) -> None:
        """A new user PIN with all its tries. Errors about a PIN are about the admin PIN, whose
        last try is never spent."""
        await self._call(Op.UNBLOCK_PIN, deadline, _nothing, ref, pin=admin, new_pin=new)

    async def generate(self, ref: KeyRef, pin: Secret, keep: Keep, deadline: float) -> PublicKey:
        """Make a key pair (and the container). Raises :class:`BadRequest` where one is there."""
        learn = partial(self._learn, ref)
        return await self._call(Op.GENERATE, deadline, learn, ref, pin=pin, keep=keep)

    @property
    def _current(self) -> bool:
        return self._slot.info is self.info

    def _learn(self, ref: KeyRef, answer: Answer) -> PublicKey:
        key = answer.key()
        if self._current:
            self._slot.keys[ref] = key
        return key

    async def _call(
        self,
        op: Op,
        deadline: float,
        take: Callable[[Answer], T],
        ref: KeyRef | None = None,
        *,
        pin: Secret | None = None,
        new_pin: Secret | None = None,
        keep: Keep = Keep.LAST,
        digest: bytes = b"",
        admin: bool = False,
    ) -> T:
        slot, lane = self._slot, self._slot.lane
        if not self._current or lane is None:
            raise UkeyRemoved(serial=self.info.serial)
        application = ref.application if ref else ""

        def note_and_take(answer: Answer) -> T | None:
            if answer.pin_state is not None and self._current and not admin:
                slot.pins[application] = answer.pin_state
            return take(answer) if answer.error is None else None

        message = build_request(
            op,
            self.info.serial,
            ref,
            slot.quirks,
            keep=keep,
            admin=admin,
            digest=digest,
            pin=pin,
            new_pin=new_pin,
        )
        try:
            result = await lane.submit(message, deadline, note_and_take)
        except (UkeyMute, UkeyFailed):
            slot.pins.pop(application, None)  # a try may have been spent, or not
            raise
        except UkeyAbsent as error:
            slot.doubt(self.info)
            raise UkeyRemoved(serial=self.info.serial) from error
        assert result is not None
        return result


def _nothing(answer: Answer) -> bool:
    return True
