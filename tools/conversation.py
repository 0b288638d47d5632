# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One session with the keyservice, carried between its steps and the person's terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from keyservice.client.session import ClientError, SocketSession
from keyservice.contract.names import ANSWER_MAX, Code, ErrorName
from keyservice.contract.operations import Operation
from keyservice.contract.requests import Value
from keyservice.contract.steps import Error, Info, Prompt, Step, Verdict, Wait

from . import exits, hints, output, service
from .command import Failure, Stopped, guard
from .exits import Exit
from .language import N_, _, wish
from .output import Colour
from .terminal import AnswerTooLong, EndOfInput, Interrupted, Terminal

#: Seconds for a whole session: time to find the ukey, and to think of a new PIN.
_TIMEOUT = 180

#: The keys that every session's ``--json`` has.
VERDICT_KEYS = (
    ("text", N_("what was done, or what failed, for people")),
    ("serial", N_("the ukey's serial, where it is known; of several, one a line")),
)


def hold(operation: Operation, *, json: bool, **wanted: Value | None) -> Exit:
    """Hold the session to its verdict, show it, and return the exit status.

    `wanted`: fields of ``requests.FIELDS``; None for one that was not given. With `json` the
    verdict goes to standard output as one object; prompts and other words stay on standard error.
    Raises :class:`Failure` for every end that is not SUCCESS.
    """
    terminal = Terminal()
    fields = {name: value for name, value in wanted.items() if value is not None}
    with (
        service.reached(),
        service.session(_TIMEOUT) as session,
        terminal.conversation(),
    ):
        carrier = _Carrier(terminal, session)
        guard.defer(carrier.cancel)
        verdict = carrier.carry(session.begin(operation, lang=wish(), **fields))
    return _end(verdict, carrier.errors, json=json)


class _Carrier:
    """Shows each step and brings each answer, until the verdict."""

    def __init__(self, terminal: Terminal, session: SocketSession) -> None:
        self._terminal, self._session = terminal, session
        self._wait = ""
        self.errors: list[str] = []  #: shown before the verdict

    def carry(self, steps: Iterator[Step]) -> Verdict:
        try:
            while True:
                step = self._next(steps)
                if isinstance(step, Verdict):
                    return step
                self._show(step)
        except EndOfInput:
            self.cancel()
            raise Failure(
                _("Cancelled: the input ended before the answer."),
                Exit.CANCELLED,
                error=ErrorName.CANCELLED,
            ) from None
        except Stopped:
            self.cancel()
            self._terminal.say(_("Cancelled."))
            raise

    def _next(self, steps: Iterator[Step]) -> Step:
        with self._terminal.waiting(self._wait or _("Waiting for the keyservice")):
            return next(steps)

    def _show(self, step: Step) -> None:
        self._wait = ""
        match step:
            case Info(text):
                self._terminal.say(text)
            case Error(text):
                self.errors.append(text)
                self._terminal.say(text, Colour.ALARM)
            case Wait(text):
                self._wait = text
                self._terminal.announce(text)
            case Prompt():
                self._answer(step)

    def cancel(self) -> None:
        """Ask the service to end the session; the steps go on to its verdict."""
        with suppress(ClientError):
            self._session.cancel()

    def _answer(self, prompt: Prompt) -> None:
        """Read one answer and send it. If it is too long, it is asked for again."""
        while True:
            try:
                with guard.at_once():
                    answer = self._terminal.ask(
                        prompt.text, echo=prompt.echo, wake=self._session.fileno()
                    )
            except EndOfInput:
                if self._terminal.interactive or not self.errors:
                    raise
                # Nobody cancelled: the piped input was refused, and the verdict has to say so.
                self._session.answer(bytearray())
                return
            except Interrupted:
                return  # the time is up: the verdict will say so
            except AnswerTooLong:
                text = _("An answer has at most {count} bytes.").format(count=ANSWER_MAX)
                if not self._terminal.interactive:
                    self.cancel()
                    raise Failure(text, Exit.USAGE, error=ErrorName.BAD_REQUEST) from None
                self._terminal.say(text, Colour.ALARM)
            else:
                self._session.answer(answer)  # wipes it
                return


def _end(verdict: Verdict, errors: list[str], *, json: bool) -> Exit:
    if verdict.code is not Code.SUCCESS:
        raise Failure(
            verdict.text,
            exits.of_verdict(verdict.code, verdict.error),
            error=verdict.error,
            hint=hints.after(verdict.error, verdict.detail),
            shown="\n".join(errors),
            facts=verdict.detail,
        )
    if json:
        output.emit({**verdict.detail, "ok": True, "text": verdict.text})
    elif verdict.text:
        print(output.printable(verdict.text, lines=True))
    return Exit.OK
