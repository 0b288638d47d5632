# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One session with the keyservice over the system bus, from begin to verdict."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum, auto

from keyservice.client.session import (
    Bus,
    ClientError,
    ProtocolError,
    ServiceRefused,
)
from keyservice.contract import operations
from keyservice.contract.names import ANSWER_MAX, TEXT_MAX, Code, ErrorName
from keyservice.contract.operations import Operation
from keyservice.contract.steps import Error, Info, Prompt, Step, Verdict, Wait
from pam_ukey import conversation
from pam_ukey.handle import LOG_DEBUG, LOG_ERR, LOG_NOTICE, Handle, log
from pam_ukey.options import Options

#: The wish for a language: plain data, which the keyservice matches and never opens.
_LANGUAGE = re.compile(r"[A-Za-z0-9_.@-]{1,32}")
_LANGUAGE_FROM = ("LC_ALL", "LC_MESSAGES", "LANG")

#: The PAM codes of refusals to begin; all others are SERVICE_ERR.
_REFUSALS = {
    ErrorName.NOT_ALLOWED: "PERM_DENIED",
    ErrorName.BUSY: "AUTHINFO_UNAVAIL",
    ErrorName.DEADLINE_PASSED: "AUTHINFO_UNAVAIL",
}


class How(Enum):
    FAILED = auto()
    VERIFIED = auto()
    EXEMPT = auto()  #: not enrolled, and the line lets such people pass


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended, and the name of the PAM code if it does not let in."""

    how: How
    failure: str


class _Over(Exception):
    """The session ends without a verdict; `code` is the PAM code's name."""

    def __init__(self, code: str, reason: str, *, level: int = LOG_ERR) -> None:
        super().__init__(reason)
        self.code, self.level = code, level


def run(pamh: Handle, options: Options, operation: Operation, *, silent: bool) -> Ending:
    """Hold one session. Never raises for anything that the other sides do."""
    try:
        user = pamh.get_user(None)
    except Exception:
        user = None
    if user is None:
        return Ending(How.FAILED, "CONV_ERR")
    try:
        with Bus(timeout=options.timeout, grace=0) as bus:
            ending = _Session(pamh, options, bus, silent=silent).hold(operation, user)
    except _Over as over:
        log(pamh, over.level, str(over))
        return Ending(How.FAILED, over.code)
    except ServiceRefused as error:
        log(pamh, LOG_ERR, f"the keyservice refused: {error.name}")
        if not (options.uniform or silent):
            conversation.show(pamh, pamh.PAM_ERROR_MSG, error.text.replace("\0", ""))
        return Ending(How.FAILED, _REFUSALS.get(error.name, "SERVICE_ERR"))
    except ClientError as error:
        log(pamh, LOG_ERR, str(error))
        garbage = isinstance(error, ProtocolError)
        return Ending(How.FAILED, "SERVICE_ERR" if garbage else "AUTHINFO_UNAVAIL")
    if ending.how is not How.FAILED and pamh.user != user:
        log(pamh, LOG_ERR, "the user changed during the session; nobody is let in")
        return Ending(How.FAILED, "SERVICE_ERR")
    return ending


class _Session:
    def __init__(self, pamh: Handle, options: Options, bus: Bus, *, silent: bool) -> None:
        self._pamh, self._options, self._bus, self._silent = pamh, options, bus, silent

    def hold(self, operation: Operation, user: str) -> Ending:
        password = operation is operations.CHANGE_PIN
        steps = self._bus.begin(
            operation,
            user=user,
            service=self._pamh.service or "",
            tty=self._pamh.tty or "",
            rhost=self._pamh.rhost or "",
            lang=_language(self._pamh),
            flags=int(self._options.flags(silent=self._silent, password=password)),
        )
        for step in steps:
            _check_text(step.text)
            if self._options.debug:
                log(self._pamh, LOG_DEBUG, f"step {type(step).__name__.lower()}")
            ending = self._follow(step)
            if ending is not None:
                return ending
        raise ProtocolError("the session ended without a verdict")

    def _follow(self, step: Step) -> Ending | None:
        match step:
            case Info(text) | Wait(text):
                self._show(self._pamh.PAM_TEXT_INFO, text)
            case Error(text):
                self._show(self._pamh.PAM_ERROR_MSG, text)
            case Prompt():
                self._prompt(step)
            case Verdict(code, text):
                ending = _ending(code)
                failed = ending.how is How.FAILED
                self._show(self._pamh.PAM_ERROR_MSG if failed else self._pamh.PAM_TEXT_INFO, text)
                return ending
        return None

    def _show(self, style: int, text: str) -> None:
        if not self._silent:
            conversation.show(self._pamh, style, text)

    def _prompt(self, step: Prompt) -> None:
        """Ask the person and send the answer, which is wiped."""
        answer = conversation.ask(self._pamh, step.text, echo=step.echo)
        if answer is None:
            raise _Over("CONV_ERR", "the prompt was not answered", level=LOG_NOTICE)
        try:
            reason = self._unsendable(answer, step)
            if reason is not None:
                if not self._options.uniform:
                    raise _Over("CONV_ERR", reason)
                log(self._pamh, LOG_ERR, reason)
            # An empty answer fails too, but is released when every other failure is.
            self._bus.answer(bytearray() if reason is not None else answer)
        finally:
            answer[:] = bytes(len(answer))

    def _unsendable(self, answer: bytearray, step: Prompt) -> str | None:
        """Why `answer` may not leave the process, None where it may."""
        if len(answer) > ANSWER_MAX:
            return f"an answer of more than {ANSWER_MAX} bytes"
        if not step.echo and conversation.is_password(self._pamh, answer):
            service = self._pamh.service or ""
            return f"{service} answers every prompt with the password; use keyboard-interactive"
        return None


def _ending(code: Code) -> Ending:
    match code:
        case Code.SUCCESS:
            return Ending(How.VERIFIED, "AUTH_ERR")
        case Code.IGNORE:
            return Ending(How.EXEMPT, "SERVICE_ERR")
    return Ending(How.FAILED, code.value)


def _language(pamh: Handle) -> str:
    for name in _LANGUAGE_FROM:
        try:
            value = pamh.env[name]
        except Exception:
            continue
        if _LANGUAGE.fullmatch(value):
            return value
    for name in _LANGUAGE_FROM:
        if _LANGUAGE.fullmatch(os.environ.get(name, "")):
            return os.environ[name]
    return ""


def _check_text(text: str) -> None:
    """What is shown is what was sent: short, and no NUL that would cut it."""
    if "\0" in text or len(text.encode("utf-8", "surrogatepass")) > TEXT_MAX:
        raise ProtocolError("a step's text is malformed")
