# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Ukeys that were just inserted: the tries left of a bound one are read, which spends none.

So lists know them before anybody logs in. No login waits for this: it is done when nobody else
wants the ukey, and what fails is tried again by the first login.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from keyservice.core.errors import UkeyError
from keyservice.core.threads import Budget
from keyservice.ukeys.base import UkeyInfo
from keyservice.ukeys.operations import PIN_STATE, Arguments
from keyservice.ukeys.reader import ReaderEvent

from . import presence
from .services import Services

_log = logging.getLogger(__name__)

#: Seconds that a look at a ukey may take: until the records are read, and after that.
SECONDS = 10.0


class Insertions:
    """Looks at each ukey that is inserted while it exists. On the event loop's thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        #: one for each reader
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._forget = services.ukeys.subscribe(self._happened)

    def stop(self) -> None:
        self._forget()
        for look in self._looks.values():
            look.cancel()

    def _happened(self, event: ReaderEvent) -> None:
        if (look := self._looks.pop(event.reader, None)) is not None:
            look.cancel()
        if event.inserted and event.info is not None:
            look = asyncio.get_running_loop().create_task(self._look(event.info))
            self._looks[event.reader] = look

    async def _look(self, info: UkeyInfo) -> None:
        try:
            with suppress(UkeyError):
                await self._read_tries(info)
        except Exception:
            _log.exception("the tries of a ukey that was inserted could not be read")

    async def _read_tries(self, info: UkeyInfo) -> None:
        services, now = self._services, asyncio.get_running_loop().time
        if info.virtual and not services.rules.allow_virtual_readers:
            return
        kept = await services.records.inventory(Budget(0, SECONDS))
        refs = [presence.ref_of(each) for each in kept.bindings if each.serial == info.serial]
        for ref in {each.application: each for each in refs}.values():
            handle = services.ukeys.find(info.serial)
            if handle.known_pin(ref) is None:
                await handle.do(PIN_STATE, Arguments(ref), now() + SECONDS, idle=True)
