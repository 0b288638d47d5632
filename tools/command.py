# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The frame of every command: its signals, how it fails and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from keyservice.contract.names import ErrorName
from keyservice.contract.streams import fill_gaps

from . import language, output
from .exits import Exit
from .language import _, reason

#: Signals that end a command, each after the terminal was put back.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Failure(Exception):
    """An expected end that is not success: what is said, what to do next, how it exits."""

    def __init__(
        self,
        text: str,
        exit_: Exit,
        *,
        error: str | None = None,
        hint: str = "",
        shown: str = "",
        facts: Mapping[str, output.Value] | None = None,
    ) -> None:
        """`shown` is what the person has read already; `facts` go to ``--json``."""
        super().__init__(text)
        self.text, self.exit, self.error, self.hint = text, exit_, error, hint
        self.shown = shown
        self.facts: dict[str, output.Value] = dict(facts or {})


class Stopped(BaseException):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def need_root(sentence: str) -> None:
    """Say by `sentence`, before any question, that only root may do this.

    The service decides; this only spares the person a PIN typed for nothing.
    """
    if os.geteuid() != 0:
        raise Failure(
            sentence,
            Exit.NOT_ALLOWED,
            error=ErrorName.NOT_ALLOWED,
            hint=_("Run it again with sudo, or in a root shell."),
        )


def run(main: Callable[[Sequence[str]], Exit]) -> NoReturn:
    """Run a command in the frame that all commands share, and exit. Launchers call this."""
    fill_gaps()
    for stream in (sys.stdout, sys.stderr):
        assert not isinstance(stream, str)
        _never_fail(stream)
    _no_core()
    language.adopt()
    guard.install()
    try:
        status = _outcome(main)
        print(end="", flush=True)
    except Stopped as stopped:
        guard.end(stopped.number)
    except BrokenPipeError:
        output.lead_nowhere(1)
        guard.end(signal.SIGPIPE)
    except Exception as bug:  # a traceback helps nobody who types PINs
        unwritten = _unwritten() if isinstance(bug, OSError) else None
        status = _bug(bug) if unwritten is None else unwritten
    if guard.pending is not None:
        guard.end(guard.pending)
    sys.exit(int(status))


def _outcome(main: Callable[[Sequence[str]], Exit]) -> Exit:
    try:
        return main(sys.argv[1:])
    except Failure as failure:
        return _failed(failure, json="--json" in sys.argv[1:])
    except SystemExit as end:  # argparse's, after help and wrong command lines
        return Exit(int(end.code or 0))


class _Guard:
    """The effect of an ending signal: at a prompt it ends the command, :class:`Stopped`.

    While a session is under way, :meth:`defer`, the first one only asks the keyservice to stop: its
    verdict says whether that was in time, is shown, and then the command ends by the signal. A
    second one does not wait for that.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._hook: Callable[[], None] | None = None
        self._ending = False

    def install(self) -> None:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._arrived)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._hook is not None and self.pending is None:
            self.pending = number
            self._hook()
        elif not self._ending:
            self._ending = True
            raise Stopped(number)

    def defer(self, hook: Callable[[], None]) -> None:
        """From now on the first ending signal calls `hook` and is kept for the end."""
        self._hook = hook

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In the block, at a prompt, nothing is under way that the command has to wait for."""
        hook, self._hook = self._hook, None
        try:
            if self.pending is not None and not self._ending:
                self._ending = True
                raise Stopped(self.pending)
            yield
        finally:
            self._hook = hook

    def end(self, number: int) -> NoReturn:
        """Die of the signal itself, so that the shell's loop around us ends too."""
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(128 + number)


guard = _Guard()


def _never_fail(stream: TextIO) -> None:
    """A character that the locale cannot show does not stop a command in mid-sentence."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _no_core() -> None:
    """No core file with a PIN in it. 1 byte, not 0: the kernel hands a core to a program in
    ``core_pattern`` in spite of 0, never of 1 (core(5), fs/coredump.c)."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def _failed(failure: Failure, *, json: bool) -> Exit:
    if json:
        output.emit(
            {
                **failure.facts,
                "ok": False,
                "error": failure.error,
                "text": failure.text or failure.shown,
                "status": int(failure.exit),
            }
        )
    if failure.text and failure.text != failure.shown:
        output.say(failure.text, output.Colour.ALARM)
    if failure.hint:
        output.say(failure.hint)
    return failure.exit


def _unwritten() -> Exit | None:
    """How it ends where standard output cannot be written, as on a full disk; None where it can."""
    try:
        print(end="", flush=True)
    except OSError as error:
        output.lead_nowhere(1)
        text = _("The output could not be written: {reason}.")
        output.say(text.format(reason=reason(error)), output.Colour.ALARM)
        return Exit.FAILED
    return None


def _bug(bug: Exception) -> Exit:
    """The place where it broke, without the values: nothing that was typed can be in it."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "?"
    if trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    output.say(
        _("This is a bug: {kind} at {where}. Please report it.").format(
            kind=type(bug).__name__, where=where
        ),
        output.Colour.ALARM,
    )
    return Exit.FAILED
