# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every way in which a session can end, and a keyservice that plays them all at once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

from keyservice.contract import frames
from keyservice.contract.names import Code as Said
from keyservice.contract.names import ErrorName, WaitFor
from keyservice.contract.requests import Value
from keyservice.contract.steps import Error, Info, Prompt, Verdict, Wait
from tests.native.builds import Line
from tests.pam.libpam import Code
from tests.pam.malformed import MALFORMED, step
from tests.pam.modules import ASK, YES
from tests.pam.scripted import (
    SESSION,
    WAIT_SECONDS,
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
IGNORED = Code.CRED_INSUFFICIENT
_ALL: Final[list[Ending]] = []


def _add(
    name: str,
    acts: Sequence[Act],
    code: Code,
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
    Said.AUTH_ERR: Code.AUTH_ERR,
    Said.AUTHINFO_UNAVAIL: Code.AUTHINFO_UNAVAIL,
    Said.USER_UNKNOWN: Code.USER_UNKNOWN,
    Said.MAXTRIES: Code.MAXTRIES,
    Said.PERM_DENIED: Code.PERM_DENIED,
    Said.CONV_ERR: Code.CONV_ERR,
    Said.BUF_ERR: Code.BUF_ERR,
    Said.SERVICE_ERR: Code.SERVICE_ERR,
}

_add("right", YES, Code.SUCCESS)
_add("right in uniform", YES, Code.SUCCESS, service="uniform")
_add("right with all steps", (Info("a"), Error("b"), Wait("c", WaitFor.TURN), *YES), Code.SUCCESS)
_add("right with much to say", (_LONG, _FULL, *YES), Code.SUCCESS)
_add("right in silence", (Info("a"), *YES), Code.SUCCESS, reaction="silent")
_add("right with two prompts", (Prompt("Name: ", echo=True), *YES), Code.SUCCESS)
_add("right with the longest answer", YES, Code.SUCCESS, reaction="longest")
# libpam reads its own files without O_CLOEXEC, in another thread perhaps.
_add("right with a program started", YES, Code.SUCCESS, reaction="spawn", alone=True)
_add("right without descriptors", YES, Code.SUCCESS, reaction="closed", alone=True)
_add("wrong", (ASK, _NO), Code.AUTH_ERR)
_add("wrong in uniform", (ASK, _NO), Code.AUTH_ERR, service="uniform")
_add("decoy", YES, Code.AUTH_ERR, service="decoy")
for _said, _code in _SAID.items():
    _add(f"verdict {_said}", (ASK, Verdict(_said, "that is all")), _code)
    _add(f"uniform {_said}", (ASK, Verdict(_said)), Code.AUTH_ERR, service="uniform")
_add("exempt", (Verdict(Said.IGNORE),), IGNORED, service="nouserok")
_add("exempt unasked", (Verdict(Said.IGNORE),), Code.SERVICE_ERR)
_add("new verdict", (ASK, NewVerdict("BETTER")), Code.SERVICE_ERR)
for _name in (ErrorName.BAD_REQUEST, ErrorName.NOT_ALLOWED, ErrorName.BUSY):
    _meant = {ErrorName.NOT_ALLOWED: Code.PERM_DENIED, ErrorName.BUSY: Code.AUTHINFO_UNAVAIL}
    _add(f"refused {_name}", (Refuse(_name, "no"),), _meant.get(_name, Code.SERVICE_ERR))
_add("refused after the answer", (ASK, Refuse(ErrorName.BUSY)), Code.AUTHINFO_UNAVAIL)
for _what, _content in MALFORMED.items():
    _add(_what.replace("'", ""), (Raw(_content), HangUp()), Code.SERVICE_ERR)
    _add(f"answered {_what}".replace("'", ""), (ASK, Raw(_content), *YES), Code.SERVICE_ERR)
for _length in range(len(_VERDICT)):
    _add(f"cut {_length}", _cut(_VERDICT, _length), Code.AUTHINFO_UNAVAIL)
_add("hung up first", (HangUp(),), Code.AUTHINFO_UNAVAIL)
_add("silence first", (Silence(),), Code.AUTHINFO_UNAVAIL, service="short", rare=True)
_add("silence later", (ASK, Silence()), Code.AUTHINFO_UNAVAIL, service="short", rare=True)
_add("silence within", _WITHIN, Code.AUTHINFO_UNAVAIL, service="short", rare=True)
for _reaction in ("null", "none", "again", "error", "left", "huge", "noconv"):
    _add(f"answer {_reaction}", (Info("a"), *YES), Code.CONV_ERR, reaction=_reaction)
    _add(f"uniform {_reaction}", (ASK, _NO), Code.AUTH_ERR, reaction=_reaction, service="uniform")
_add("another user", YES, Code.SERVICE_ERR, reaction="user")
_add("items too long", YES, Code.SERVICE_ERR, reaction="items")
_add("the password", YES, Code.CONV_ERR, reaction="password", service="held")
_add("options that contradict", YES, Code.SERVICE_ERR, service="senseless")
_add("PIN changed", (ASK, ASK, ASK, *YES[1:]), Code.SUCCESS, service="change", call="chauthtok")
_add("PIN not changed", (ASK, _NO), Code.AUTH_ERR, service="change", call="chauthtok")

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
    """Plays the ending that the user's name says, to any number of clients at once."""

    def __init__(self) -> None:
        super().__init__(())

    def script(self, begun: Mapping[str, Value]) -> Sequence[Act]:
        return ENDINGS[str(begun["user"])].acts

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(WAIT_SECONDS)
        threading.Thread(target=self._play, args=(connection.dup(),), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError, frames.FrameError):
            super().serve(connection)
