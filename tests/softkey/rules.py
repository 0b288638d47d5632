# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The form of a command, and the parts that commands share."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Container as Lengths
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .apdu import SW, Command, Status
from .state import Application, Container, Pin

if TYPE_CHECKING:
    from .card import Card

#: the roles of PIN commands, as in their P2
ADMIN, USER = 0, 1

#: length of an application's or a container's id; opaque bytes
ID_BYTES = 2


@dataclass(slots=True)
class OpenApplication:
    """What the card remembers of an open application until it is closed or the card is reset."""

    application: Application
    #: ADMIN and USER, where that PIN has been verified
    roles: set[int] = field(default_factory=set)
    #: open containers by their two id bytes
    containers: dict[bytes, Container] = field(default_factory=dict)

    def pin(self, role: int) -> Pin:
        return self.application.user if role == USER else self.application.admin

    def require(self, role: int) -> None:
        if role not in self.roles:
            raise Status(SW.SECURITY_STATE)


Handler = Callable[["Card", Command], bytes]


class Rule(NamedTuple):
    """A command: its function, and the checks before it runs."""

    run: Handler
    data: Lengths[int]  #: lengths of data that it takes
    p1p2: Lengths[int]  #: P1 << 8 | P2
    answer: int | None  #: length of its answer, None where that varies


class Commands(dict[bytes, Rule]):
    """A table of commands by CLA and INS, filled by decorating functions."""

    def __call__(
        self,
        ins: int,
        *,
        cla: int = 0x80,
        data: Lengths[int] = (0,),
        p1p2: Lengths[int] = (0,),
        answer: int | None = 0,
    ) -> Callable[[Handler], Handler]:
        def enter(run: Handler) -> Handler:
            self[bytes((cla, ins))] = Rule(run, data, p1p2, answer)
            return run

        return enter
