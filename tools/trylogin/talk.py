# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The conversation of a trial, carried between its process and the person's terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from keyservice.contract.names import ANSWER_MAX, ErrorName
from tools.command import Failure, Stopped
from tools.exits import Exit
from tools.language import _
from tools.output import Colour
from tools.terminal import AnswerTooLong, EndOfInput, Interrupted, Terminal, wipe

from .child import Attempt
from .trial import Died, Ended, Said, Trial


class _TimeIsUp(Exception):
    pass


class Talk:
    """One trial, from its first question to its verdict."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.prompts = 0  #: questions that were asked
        self.pid = 0

    def hold(self, attempt: Attempt, seconds: int) -> Ended:
        """Raises :class:`Failure` where there is no verdict."""
        with Trial(attempt) as trial, self._terminal.conversation():
            self.pid = trial.pid
            try:
                with _deadline(seconds):
                    return self._carry(trial)
            except _TimeIsUp:
                text = _("No verdict within {count} s; the try was ended.").format(count=seconds)
                hint = _("Something in the stack waits; --timeout gives it longer.")
                raise Failure(
                    text, Exit.TOO_LATE, error=ErrorName.DEADLINE_PASSED, hint=hint
                ) from None
            except Died:
                text = _("A module of the stack ended the process: there is no verdict.")
                raise Failure(text, Exit.FAILED, error=ErrorName.FAILED) from None
            except EndOfInput:
                text = _("Cancelled: the input ended before the answer.")
                raise Failure(text, Exit.CANCELLED, error=ErrorName.CANCELLED) from None
            except Stopped:
                self._terminal.say(_("Cancelled."))
                raise

    def _carry(self, trial: Trial) -> Ended:
        while True:
            with self._terminal.waiting(_("Waiting for the stack")):
                said = trial.next()
            if isinstance(said, Ended):
                return said
            if said.prompt:
                self._ask(trial, said)
            else:
                self._terminal.say(said.text, Colour.ALARM if said.error else Colour.NONE)

    def _ask(self, trial: Trial, said: Said) -> None:
        self.prompts += 1
        while True:
            try:
                answer = self._terminal.ask(said.text, echo=said.echo, wake=trial.fileno())
            except Interrupted:
                return  # it ended
            except AnswerTooLong:
                text = _("An answer has at most {count} bytes.").format(count=ANSWER_MAX)
            else:
                # libpam's answers end at a zero: the checked answer would not be the typed one.
                if 0 not in answer:
                    trial.answer(answer)
                    return
                wipe(answer)
                text = _("An answer has no zero byte.")
            if not self._terminal.interactive:
                raise Failure(text, Exit.USAGE, error=ErrorName.BAD_REQUEST)
            self._terminal.say(text, Colour.ALARM)


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Ends the block, whatever it waits for."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
