# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One line per attempt, for the administrators of the host: syslog's authpriv, key=value.

Every value is escaped and cut, so that nobody writes lines of their own into the log through a user
name or a terminal's name. No field here holds a PIN.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from keyservice.contract.names import Code, Flag
from keyservice.contract.steps import Verdict
from keyservice.core import reasons
from keyservice.core.errors import UkeyError
from keyservice.core.logsocket import Facility, LogSocket, Severity

from . import policy
from .context import Context
from .conversation import Caller
from .flood import Flood
from .shares import ON_THE_SPOT

VALUE_MAX = 160  #: characters of a value, escaped: the callers' values never crowd out the rest
_BARE = re.compile(r"[A-Za-z0-9._:/@%+,-]+")
_ODD = re.compile(r"[^ !#-\[\]-~]")


class Audit:
    """Writes the lines. Lives on the event loop's thread."""

    def __init__(self, log: LogSocket) -> None:
        self._log = log
        self._flood = Flood()
        self._timer: asyncio.TimerHandle | None = None

    def attempt(self, context: Context, verdict: Verdict, error: BaseException | None) -> None:
        """The line of a session that ended with `verdict`, for `error` if it failed.

        If a person is refused too often, the refusal is only counted (``flood``), unless it was a
        guess at a PIN. The same holds for all people together for whom sshd and its like ask.
        """
        forced = Flag.FORCE in context.request.flags
        refused = verdict.code not in (Code.SUCCESS, Code.IGNORE)
        # from a program of the user's own, IGNORE costs nothing and lets nobody in
        nothing = refused or (verdict.code is Code.IGNORE and not context.caller.root)
        counts = nothing and not context.guessed and not _unbounded(context)
        if counts and not self._flood.admits(context.caller.originator_uid):
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._flood.left(), self.flush)
            return
        severity = Severity.WARNING if forced and not refused else Severity.NOTICE
        try:
            fields = attempt_fields(context, verdict, error)
        except Exception as bug:  # whatever is wrong with the facts, a line is written
            fields = _bare_fields(context, verdict, bug)
        self._write(severity, fields, passing=counts)

    def late(self, context: Context, error: BaseException | None) -> None:
        """The line of a write that ended, by `error` if it failed, when its session was over."""
        verdict = Verdict(Code.SUCCESS if error is None else Code.AUTHINFO_UNAVAIL)
        fields = attempt_fields(context, verdict, error)
        if error is None:
            fields["reason"] = "written after the deadline"
        self._write(Severity.WARNING, fields)

    def event(self, name: str, caller: Caller, **facts: object) -> None:
        """The line of another act of root's, such as taking back a revocation."""
        self._write(Severity.NOTICE, {"event": name, **_caller_fields(caller), **facts})

    def flush(self) -> None:
        """A line for each person who was refused more often than lines were written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for person, refusals in self._flood.take():
            fields = {"event": "suppressed", "person": person, "refusals": refusals}
            self._write(Severity.WARNING, fields)

    def _write(
        self, severity: Severity, fields: Mapping[str, object], *, passing: bool = False
    ) -> None:
        self._log.send(Facility.AUTHPRIV, severity, line(fields), passing=passing)


def _unbounded(context: Context) -> bool:
    """Whether somebody at the machine asks, or only root may ask. All else can be begun without
    end: by strangers through sshd, or by any person through su and sudo."""
    root = context.caller.root
    return context.share in ON_THE_SPOT or (root and context.request.operation.root_only)


def attempt_fields(
    context: Context, verdict: Verdict, error: BaseException | None
) -> dict[str, object]:
    """The fields of an attempt's line, in their order."""
    request, person, place = context.request, context.person, context.place
    flags = ",".join(flag.name.lower() for flag in Flag if flag in request.flags and flag.name)
    return {
        "event": request.operation.name,
        "user": person.name if person else request.user,
        "uid": person.uid if person else None,
        "service": request.service,
        **_caller_fields(context.caller),
        "tty": request.tty,
        "rhost": request.rhost,
        "local": None if place is None else ("yes" if place.local else "no"),
        "place": reasons.told(place.why) if place else None,
        "serial": context.serial,
        "ssh_key": context.ssh_key,
        "key": context.key,
        "flags": flags,
        "verdict": verdict.code.value,
        "reason": reason(context, verdict, error),
        "id": context.session_id.hex()[:8],
    }


def _bare_fields(context: Context, verdict: Verdict, bug: Exception) -> dict[str, object]:
    """The certain facts of an attempt whose line could not be made because of a `bug`."""
    return {
        "event": context.request.operation.name,
        "user": context.request.user,
        **_caller_fields(context.caller),
        "verdict": verdict.code.value,
        "reason": f"{type(bug).__name__} in making this line",
        "id": context.session_id.hex()[:8],
    }


def reason(context: Context, verdict: Verdict, error: BaseException | None) -> str:
    """Why it ended so. For an error that is no :class:`UkeyError` only its type: its text is not
    ours."""
    if isinstance(error, UkeyError):
        return f"{error.name}: {error}"
    if error is not None:
        return type(error).__name__
    if verdict.code is Code.IGNORE and policy.password_alone(context.caller, context.request):
        return "a program that root runs changes a password, and no PIN"
    return {Code.SUCCESS: "all is well", Code.IGNORE: "no ukey is bound, and nouserok is set"}.get(
        verdict.code, "refused"
    )


def line(fields: Mapping[str, object]) -> str:
    """``key=value …``. Absent values are ``-``; odd values are quoted and escaped."""
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
