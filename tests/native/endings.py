# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every way in which a session can end, and a keyservice that plays them all at once."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from keyservice.contract import frames
from keyservice.contract.names import Code as Said
from keyservice.contract.names import ErrorName, WaitFor
from keyservice.contract.pam import PamCode
from keyservice.contract.requests import Value
from keyservice.contract.steps import Error, Info, Prompt, Verdict, Wait
from tests.native.builds import Line
from tests.pam.malformed import MALFORMED, step
from tests.pam.modules import ASK, YES
from tests.pam.scripted import (
    SESSION,
    Act,
    HangUp,
    NewVerdict,
    Raw,
    Refuse,
    Silence,
    SocketService,
)


@dataclass(frozen=True)
class Ending:
    """A script and the line that it ends with. The name of its user chooses the script."""

    acts: Sequence[Act]
    line: Line
    rare: bool = False  #: it takes until a deadline
    alone: bool = False  #: it changes what threads share


#: What a stack makes of IGNORE (tests.pam.modules).
IGNORED = PamCode.CRED_INSUFFICIENT
_ALL: Final[list[Ending]] = []


def _add(
    name: str,
    acts: Sequence[Act],
    code: PamCode,
    *,
    rare: bool = False,
    alone: bool = False,
    reaction: str = "=314159",
    service: str = "plain",
    call: str = "authenticate",
) -> None:
    line = Line(code, f"{len(_ALL)}-{name.replace(' ', '-')}", reaction, service, call)
    _ALL.append(Ending(acts, line, rare, alone))


def _cut(content: bytes, length: int) -> Sequence[Act]:
    return (ASK, Raw(content[:length]), HangUp())


_VERDICT = bytes(frames.build_step(SESSION, Verdict(Said.SUCCESS)))
_NO = Verdict(Said.AUTH_ERR, "No.", ErrorName.PIN_WRONG, {"left": 3})
_LONG = Raw(step(TEXT="界".encode() * 341))
_FULL = Raw(step(TEXT=b"x" * 1024, SESSION=SESSION) * 40)
_WITHIN = (ASK, Raw(_VERDICT[:9]), Silence())
_SAID = {
    Said.AUTH_ERR: PamCode.AUTH_ERR,
    Said.AUTHINFO_UNAVAIL: PamCode.AUTHINFO_UNAVAIL,
    Said.USER_UNKNOWN: PamCode.USER_UNKNOWN,
    Said.MAXTRIES: PamCode.MAXTRIES,
    Said.PERM_DENIED: PamCode.PERM_DENIED,
    Said.CONV_ERR: PamCode.CONV_ERR,
    Said.BUF_ERR: PamCode.BUF_ERR,
    Said.SERVICE_ERR: PamCode.SERVICE_ERR,
}

_add("right", YES, PamCode.SUCCESS)
_add("right in uniform", YES, PamCode.SUCCESS, service="uniform")
_add(
    "right with all steps", (Info("a"), Error("b"), Wait("c", WaitFor.TURN), *YES), PamCode.SUCCESS
)
_add("right with much to say", (_LONG, _FULL, *YES), PamCode.SUCCESS)
_add("right in silence", (Info("a"), *YES), PamCode.SUCCESS, reaction="silent")
_add("right with two prompts", (Prompt("Name: ", echo=True), *YES), PamCode.SUCCESS)
_add("right with the longest answer", YES, PamCode.SUCCESS, reaction="longest")
# libpam reads its own files without O_CLOEXEC, in another thread perhaps.
_add("right with a program started", YES, PamCode.SUCCESS, reaction="spawn", alone=True)
_add("right without descriptors", YES, PamCode.SUCCESS, reaction="closed", alone=True)
_add("wrong", (ASK, _NO), PamCode.AUTH_ERR)
_add("wrong in uniform", (ASK, _NO), PamCode.AUTH_ERR, service="uniform")
_add("decoy", YES, PamCode.AUTH_ERR, service="decoy")
for _said, _code in _SAID.items():
    _add(f"verdict {_said}", (ASK, Verdict(_said, "that is all")), _code)
    _add(f"uniform {_said}", (ASK, Verdict(_said)), PamCode.AUTH_ERR, service="uniform")
_add("exempt", (Verdict(Said.IGNORE),), IGNORED, service="nouserok")
_add("exempt unasked", (Verdict(Said.IGNORE),), PamCode.SERVICE_ERR)
_add("new verdict", (ASK, NewVerdict("BETTER")), PamCode.SERVICE_ERR)
for _name in (ErrorName.BAD_REQUEST, ErrorName.NOT_ALLOWED, ErrorName.BUSY):
    _meant = {ErrorName.NOT_ALLOWED: PamCode.PERM_DENIED, ErrorName.BUSY: PamCode.AUTHINFO_UNAVAIL}
    _add(f"refused {_name}", (Refuse(_name, "no"),), _meant.get(_name, PamCode.SERVICE_ERR))
_add("refused after the answer", (ASK, Refuse(ErrorName.BUSY)), PamCode.AUTHINFO_UNAVAIL)
for _what, _content in MALFORMED.items():
    _add(_what.replace("'", ""), (Raw(_content), HangUp()), PamCode.SERVICE_ERR)
    _add(f"answered {_what}".replace("'", ""), (ASK, Raw(_content), *YES), PamCode.SERVICE_ERR)
for _length in range(len(_VERDICT)):
    _add(f"cut {_length}", _cut(_VERDICT, _length), PamCode.AUTHINFO_UNAVAIL)
_add("hung up first", (HangUp(),), PamCode.AUTHINFO_UNAVAIL)
_add("silence first", (Silence(),), PamCode.AUTHINFO_UNAVAIL, service="short", rare=True)
_add("silence later", (ASK, Silence()), PamCode.AUTHINFO_UNAVAIL, service="short", rare=True)
_add("silence within", _WITHIN, PamCode.AUTHINFO_UNAVAIL, service="short", rare=True)
for _reaction in ("null", "none", "again", "error", "left", "huge", "noconv"):
    _add(f"answer {_reaction}", (Info("a"), *YES), PamCode.CONV_ERR, reaction=_reaction)
    _add(
        f"uniform {_reaction}", (ASK, _NO), PamCode.AUTH_ERR, reaction=_reaction, service="uniform"
    )
_add("another user", YES, PamCode.SERVICE_ERR, reaction="user")
_add("items too long", YES, PamCode.SERVICE_ERR, reaction="items")
_add("the password", YES, PamCode.CONV_ERR, reaction="password", service="held")
_add("options that contradict", YES, PamCode.SERVICE_ERR, service="senseless")
_add("PIN changed", (ASK, ASK, ASK, *YES[1:]), PamCode.SUCCESS, service="change", call="chauthtok")
_add("PIN not changed", (ASK, _NO), PamCode.AUTH_ERR, service="change", call="chauthtok")

ENDINGS: dict[str, Ending] = {ending.line.user: ending for ending in _ALL}


def lines(number: int, *, rare: int, threads: bool = False) -> list[Line]:
    """`number` lines of all endings in turn; those that take long `rare` times each."""
    often = [each.line for each in _ALL if not each.rare and not (threads and each.alone)]
    slow = [each.line for each in _ALL if each.rare] * rare
    made = list(islice(cycle(often), number - len(slow)))
    assert len(made) >= len(often), f"there are {len(often)} endings"
    for index, line in enumerate(slow):
        made.insert((2 * index + 1) * number // (2 * len(slow)), line)
    return made


class Keyservice(SocketService):
    """Plays the ending that the user's name says."""

    def __init__(self) -> None:
        super().__init__(())

    def script(self, begun: Mapping[str, Value]) -> Sequence[Act]:
        return ENDINGS[str(begun["user"])].acts

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(frames.FrameError):  # a client that a mistake was made in
            super().serve(connection)
