# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What goes with a request on its way: the services for it, its caller, the conversation, and the
facts that are learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyservice.core.username import Person
from keyservice.store.records import Enrolment

from .conversation import NOBODY, Caller, Conversation, Request
from .locality import Place
from .messages import Texts
from .shares import Share
from .uniform import FirstTick

if TYPE_CHECKING:
    from .services import Services


@dataclass(slots=True)
class Context:
    """One request, from its begin to its line in the log."""

    services: Services
    caller: Caller
    request: Request
    session_id: bytes = b""  #: empty where no session was begun
    conversation: Conversation = NOBODY
    share: Share = Share.SYSTEM  #: what its session draws on
    person: Person | None = None  #: whom the request means
    place: Place | None = None  #: where the caller is, once that was judged
    enrolled: tuple[Person, Enrolment | None] | None = None  #: what a person has, once it was read
    serial: str = ""  #: of the ukey that was used
    key: str = ""  #: the fingerprint of the registered ssh key that was used
    ssh_key: str = ""  #: the ssh key that sshd has verified, by ssh's own fingerprint
    guessed: bool = False  #: a PIN went to the ukey
    tick: FirstTick | None = None  #: at which failures show, under ``uniform``

    _texts: Texts | None = None

    @property
    def texts(self) -> Texts:
        """The texts in the caller's language."""
        if self._texts is None:
            self._texts = self.services.texts(self.request)
        return self._texts
