# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Conversations in which texts do not arrive, or arrive late: then prompts say what must be known.

sudo asks PAM to be silent, some lockers show no texts, and ssh shows them only when it asks for
something, or has failed. There a person is asked to insert the ukey and to press Enter, instead of
a silent wait. If texts never arrive, the next prompt says why a login failed, or a prompt of its
own if the login showed none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from keyservice.contract.names import Flag, WaitFor
from keyservice.contract.pam import SSHD
from keyservice.core.errors import Cancelled
from keyservice.core.processes import lineage
from keyservice.core.secret import Secret

from .conversation import Caller, Conversation, Request
from .messages import Texts

#: Seconds for which a failure is kept for the next prompt.
KEPT = 120.0
#: Failures that are kept; beyond these the oldest is forgotten.
KEPT_MAX = 256


def silent(request: Request) -> bool:
    """Whether no text reaches the person who is at the other end of `request`."""
    return Flag.SILENT in request.flags


def late(request: Request) -> bool:
    """Whether a text reaches them with the next prompt, or the failure, and no earlier."""
    return request.service in SSHD


class Late:
    """Texts are shown too late for a text that says what to do now."""

    prompted = True

    def __init__(self, conversation: Conversation, texts: Texts) -> None:
        self._conversation, self._texts = conversation, texts

    @property
    def originator_uid(self) -> int | None:
        return self._conversation.originator_uid

    def remaining(self) -> float:
        return self._conversation.remaining()

    async def info(self, text: str) -> None:
        await self._conversation.info(text)

    async def error(self, text: str) -> None:
        await self._conversation.error(text)

    async def wait(self, text: str, what: WaitFor) -> None:
        """For the ukey: ask until the person says that it is in. Other waits end before the text
        would be shown."""
        if what is WaitFor.UKEY:
            await self.confirm(self._texts.then_enter(text))

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        return await self._conversation.ask(text, echo=echo)

    async def confirm(self, text: str) -> None:
        await self._conversation.confirm(text)


class Prompted(Late):
    """Texts are never shown: they come before the next prompt instead."""

    def __init__(self, conversation: Conversation, texts: Texts, before: Iterable[str]) -> None:
        """`before`: the text to say first."""
        super().__init__(conversation, texts)
        self._unsaid = list(before)
        self.asked = False  #: the person saw a prompt

    async def info(self, text: str) -> None:
        self._unsaid.append(text)

    async def error(self, text: str) -> None:
        self._unsaid.append(text)

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        return await super().ask(self._with_unsaid(text), echo=echo)

    async def confirm(self, text: str) -> None:
        await super().confirm(self._with_unsaid(text))

    async def fail(self, why: str) -> bool:
        """Say why it failed; False if a prompt was seen, since the next prompt may say it then."""
        if self.asked or not why:
            return False
        # however this prompt ends: the login ends by the first failure, and the log says so
        with suppress(Cancelled, asyncio.CancelledError):
            await self.confirm(self._texts.press_enter(why))
        return True

    def _with_unsaid(self, text: str) -> str:
        lines, self._unsaid, self.asked = [*self._unsaid, text], [], True
        return "\n".join(dict.fromkeys(lines))  # the same text twice is said once


class Failures:
    """Why the last logins failed, for the next prompt of the same program, to the same person.

    A program is known by its process, or by its parent process if that is root's too: some
    programs start a child for each attempt.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, int], tuple[float, str]] = {}

    def keep(self, caller: Caller, request: Request, why: str) -> None:
        now = asyncio.get_running_loop().time()
        for process in lineage(caller.pid, caller.started):
            self._kept.pop((request.user, *process), None)
            self._kept[request.user, *process] = (now + KEPT, why)
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def take(self, caller: Caller, request: Request) -> list[str]:
        """The failure to tell, at most one. It is told once."""
        now = asyncio.get_running_loop().time()
        found = (
            self._kept.pop((request.user, *process), None)
            for process in lineage(caller.pid, caller.started)
        )
        return [why for until, why in filter(None, list(found)) if until > now][:1]
