# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One line per attempt, for those who look after the host: syslog's authpriv, key=value.

Every value is escaped and cut, so that nobody writes lines of his own into the log through a user
name or a terminal's name. A PIN is in no field that exists here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from keyservice.contract.names import Code, Flag, Operation
from keyservice.contract.steps import Verdict
from keyservice.core.errors import UkeyError
from keyservice.core.username import Person

from . import policy
from .conversation import Caller, Request
from .flood import Flood
from .locality import Place
from .logsocket import Facility, LogSocket, Severity

VALUE_MAX = 160  #: characters of a value, escaped: what callers choose never crowds out the rest
_BARE = re.compile(r"[A-Za-z0-9._:/@%+,-]+")
_ODD = re.compile(r"[^ !#-\[\]-~]")

_EVENTS: Mapping[Operation, str] = {
    Operation.AUTHENTICATION: "authentication",
    Operation.BIND: "bind",
    Operation.UNBIND: "unbind",
    Operation.CHANGE_PIN: "change-pin",
    Operation.UNBLOCK_PIN: "unblock-pin",
    Operation.VERIFY_PIN: "verify-pin",
}


@dataclass(slots=True)
class Attempt:
    """What is learnt about one attempt on its way, for its line."""

    caller: Caller
    request: Request
    session_id: bytes
    person: Person | None = None
    place: Place | None = None
    serial: str = ""
    guessed: bool = False  #: a PIN went to the ukey


class Audit:
    """Writes the lines. Lives on the event loop's thread."""

    def __init__(self, log: LogSocket) -> None:
        self._log = log
        self._flood = Flood()
        self._timer: asyncio.TimerHandle | None = None

    def attempt(self, attempt: Attempt, verdict: Verdict, error: BaseException | None) -> None:
        """The line of a session that ended with `verdict`, for `error` if it failed.

        Of a person who is refused too often it is counted only (``flood``), unless it was a guess
        at a PIN.
        """
        forced = Flag.FORCE in attempt.request.flags
        refused = verdict.code not in (Code.SUCCESS, Code.IGNORE)
        counts = refused and not attempt.guessed and not _roots(attempt)
        if counts and not self._flood.admits(attempt.caller.person):
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._flood.left(), self.flush)
            return
        severity = Severity.WARNING if forced and not refused else Severity.NOTICE
        try:
            fields = attempt_fields(attempt, verdict, error)
        except Exception as bug:  # whatever is wrong with what was learnt: a line there is
            fields = _bare_fields(attempt, verdict, bug)
        self._write(severity, fields)

    def event(self, name: str, caller: Caller, **facts: object) -> None:
        """The line of something else that root did, such as taking back a revocation."""
        self._write(Severity.NOTICE, {"event": name, **_caller_fields(caller), **facts})

    def flush(self) -> None:
        """A line for each person who was refused more often than lines were written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for person, refusals in self._flood.take():
            fields = {"event": "suppressed", "person": person, "refusals": refusals}
            self._write(Severity.WARNING, fields)

    def _write(self, severity: Severity, fields: Mapping[str, object]) -> None:
        self._log.send(Facility.AUTHPRIV, severity, line(fields))


def _roots(attempt: Attempt) -> bool:
    """Whether it is root's own doing: what any person may have su and sudo do is not."""
    caller = attempt.caller
    return caller.root and (caller.person == 0 or attempt.request.operation not in policy.OWN)


def attempt_fields(
    attempt: Attempt, verdict: Verdict, error: BaseException | None
) -> dict[str, object]:
    """The fields of an attempt's line, in their order."""
    request, person, place = attempt.request, attempt.person, attempt.place
    flags = ",".join(flag.name.lower() for flag in Flag if flag in request.flags and flag.name)
    return {
        "event": _EVENTS[request.operation],
        "user": person.name if person else request.user,
        "uid": person.uid if person else None,
        "service": request.service,
        **_caller_fields(attempt.caller),
        "tty": request.tty,
        "rhost": request.rhost,
        "local": None if place is None else ("yes" if place.local else "no"),
        "place": place.why if place else None,
        "serial": attempt.serial,
        "flags": flags,
        "verdict": verdict.code.value,
        "reason": reason(verdict, error),
        "id": attempt.session_id.hex()[:8],
    }


def _bare_fields(attempt: Attempt, verdict: Verdict, bug: Exception) -> dict[str, object]:
    """What is known for certain of an attempt whose line could not be made for a `bug`."""
    return {
        "event": _EVENTS[attempt.request.operation],
        "user": attempt.request.user,
        **_caller_fields(attempt.caller),
        "verdict": verdict.code.value,
        "reason": f"{type(bug).__name__} in making this line",
        "id": attempt.session_id.hex()[:8],
    }


def reason(verdict: Verdict, error: BaseException | None) -> str:
    """Why it ended so. Of what is no :class:`UkeyError` only the type: its text is not ours."""
    if isinstance(error, UkeyError):
        return f"{error.name}: {error}"
    if error is not None:
        return type(error).__name__
    return {Code.SUCCESS: "all is well", Code.IGNORE: "no ukey is bound, and nouserok is set"}.get(
        verdict.code, "refused"
    )


def line(fields: Mapping[str, object]) -> str:
    """``key=value …``. Absent values are ``-``; what is not plain is quoted and escaped."""
    return " ".join(f"{key}={value(item)}" for key, item in fields.items())


def value(item: object) -> str:
    """One value: bare where it is plain, else quoted with ``\\xNN`` for each odd byte; cut."""
    if item is None or item == "":
        return "-"
    text = str(item)
    if _BARE.fullmatch(text) and text != "-" and len(text) <= VALUE_MAX:
        return text
    escaped = ""
    for char in text:
        piece = _ODD.sub(_escaped, char)
        if len(escaped) + len(piece) > VALUE_MAX:
            escaped += "..."
            break
        escaped += piece
    return f'"{escaped}"'


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _caller_fields(caller: Caller) -> dict[str, object]:
    return {
        "caller": caller.uid,
        "ruid": caller.ruid,
        "loginuid": caller.loginuid,
        "pid": caller.pid,
        "session": caller.logind_session,
        "by": caller.source,
    }
