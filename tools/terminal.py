# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The person's terminal: prompts, answers, and the sign that something is waited for.

Prompts go to standard error. Answers come from standard input: from a terminal with the echo off,
or, where standard input is not one, a line of it per prompt. An answer is read straight into a
``bytearray`` (``readv``), so that no immutable copy of a PIN is ever made, and its owner wipes it.

While a conversation is open the terminal does not echo, so that a PIN typed ahead of its prompt
stays dark too. The terminal is put back whatever ends the command, a signal included.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Self, TextIO

from keyservice.contract.names import ANSWER_MAX

from .output import Colour, columns_of, cut, paint, printable, width

#: The longest line that a terminal's driver takes, in bytes.
_LINE_MAX = 4096
#: Seconds before the sign that something is waited for appears, and between its pictures.
_PATIENCE = 0.3
_PACE = 0.1

_LFLAG = 3


class EndOfInput(Exception):
    """The input ended before an answer came."""


class AnswerTooLong(Exception):
    """A line of more than 256 bytes. It was thrown away."""


class Interrupted(Exception):
    """The other side has something to say: the prompt is no longer open."""


def wipe(buffer: bytearray) -> None:
    """Overwrite `buffer` with zeros, in place."""
    buffer[:] = bytes(len(buffer))


class Terminal:
    """Standard input and standard error, as one person's terminal."""

    def __init__(self) -> None:
        self._in = 0
        self.interactive = os.isatty(self._in)
        self._saved: list[int | list[bytes | int]] | None = None
        self._echo = False
        self._prompt = ""
        self._err = self._screen()
        self._lively = self._err.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def _screen(self) -> TextIO:
        """The stream that the person reads: standard error, or, where that was sent to a file, the
        terminal that the answers come from."""
        if self.interactive and not sys.stderr.isatty():
            with suppress(OSError):
                return Path(os.ttyname(self._in)).open("w", encoding="utf-8", errors="replace")
        return sys.stderr

    # -- the terminal's mode

    @contextmanager
    def conversation(self) -> Iterator[None]:
        """Echo off from here to the end of the block, whatever ends it; on at a stop by Ctrl-Z."""
        if not self.interactive:
            yield
            return
        before = signal.getsignal(signal.SIGTSTP)
        try:
            self._saved = termios.tcgetattr(self._in)
            if before is signal.SIG_DFL:
                signal.signal(signal.SIGTSTP, self._stopped)
            self._apply()
            yield
        finally:
            self.restore()
            signal.signal(signal.SIGTSTP, before)

    def restore(self) -> None:
        """Put the terminal back as it was found; a second call does nothing. Typed characters that
        were not read are thrown away: a PIN that came too late is no command for the shell."""
        saved, self._saved = self._saved, None
        if saved is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._in, termios.TCSAFLUSH, saved)

    def _apply(self, when: int = termios.TCSADRAIN) -> None:
        if self._saved is None:
            return
        mode = termios.tcgetattr(self._in)
        flags = mode[_LFLAG]
        assert isinstance(flags, int)
        flags |= termios.ICANON | termios.ISIG
        flags = flags | termios.ECHO if self._echo else flags & ~termios.ECHO
        mode[_LFLAG] = flags & ~termios.ECHONL
        termios.tcsetattr(self._in, when, mode)

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the shell its terminal back as it was; later, go on where we were."""
        saved = self._saved
        if saved is not None:
            # As at the end: half a PIN is no command for the shell.
            termios.tcsetattr(self._in, termios.TCSAFLUSH, saved)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # continued after SIGCONT
        signal.signal(signal.SIGTSTP, self._stopped)
        self._apply()
        if self._prompt:
            self._write(self._prompt)

    # -- words

    def _write(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()

    def say(self, text: str, colour: Colour = Colour.NONE) -> None:
        """A line, or several, for the person."""
        self._write(paint(printable(text, lines=True), colour, self._err) + "\n")

    def ask(self, text: str, *, echo: bool = False, wake: int | None = None) -> bytearray:
        """Show `text` and read one line, without its end, at most 256 bytes. The caller wipes it.

        `wake` is a descriptor that, once readable, ends the wait: :class:`Interrupted`. Raises
        :class:`EndOfInput` and :class:`AnswerTooLong`. Characters that were typed ahead of a prompt
        without echo are thrown away: they were meant for something else.
        """
        buffer = bytearray(_LINE_MAX)
        try:
            self._echo = echo
            # Before the prompt is shown, so that an answer that comes at once is heard.
            self._apply(termios.TCSADRAIN if echo else termios.TCSAFLUSH)
            shown = printable(text, lines=True).rstrip()
            self._prompt = shown + ("" if shown.endswith("：") else " ")
            self._write(self._prompt)
            self._await_input(wake)
            count = self._read_terminal(buffer) if self.interactive else self._read_line(buffer)
            if count > ANSWER_MAX:
                raise AnswerTooLong
            return bytearray(memoryview(buffer)[:count])
        finally:
            wipe(buffer)
            self._prompt = ""
            if not (echo and self.interactive):
                self._write("\n")
            if echo:
                self._echo = False
                self._apply()

    def _await_input(self, wake: int | None) -> None:
        poll = select.poll()
        poll.register(self._in, select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        # A piped answer is ready or will be; only a person's prompt is interrupted.
        ready = {number for number, _ in poll.poll()} if self.interactive else {self._in}
        if wake is not None and wake in ready:
            raise Interrupted

    def _read_terminal(self, buffer: bytearray) -> int:
        """One line from the terminal's driver, which lets the person edit it."""
        view, count = memoryview(buffer), 0
        try:
            while count < _LINE_MAX:
                try:
                    more = os.readv(self._in, [view[count:]])
                except OSError:  # EIO: the terminal hung up
                    more = 0
                if more == 0:  # Ctrl-D; after some characters it has to come twice
                    raise EndOfInput
                count += more
                if buffer[count - 1] == 0x0A:
                    return count - 1
            return count
        finally:
            view.release()

    def _read_line(self, buffer: bytearray) -> int:
        """One line of a pipe or a file, byte by byte: the bytes after it belong to the next prompt,
        or to the next program that reads the same input."""
        view, count, byte = memoryview(buffer), 0, bytearray(1)
        try:
            while os.readv(self._in, [byte]):
                if byte[0] == 0x0A:
                    return count - (count > 0 and buffer[count - 1] == 0x0D)
                if count < _LINE_MAX:
                    view[count] = byte[0]
                    count += 1
            if count == 0:
                raise EndOfInput
            return count
        finally:
            wipe(byte)
            view.release()

    def announce(self, text: str) -> None:
        """Say what is waited for, where no moving sign can (:meth:`waiting`)."""
        if not self._lively:
            self.say(text)

    def waiting(self, text: str) -> Waiting:
        """The sign that `text` is waited for; a context."""
        return Waiting(self._err, printable(text).rstrip(".。"), lively=self._lively)


class Waiting:
    """Shows that something is waited for, and for what, until it is left.

    On a terminal a moving picture with the seconds, cleared when it ends; elsewhere nothing, so
    that a log holds no half lines. A thread draws it: the caller blocks in the meantime.
    """

    _PICTURES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    _PLAIN = "|/-\\"

    def __init__(self, screen: TextIO, text: str, *, lively: bool) -> None:
        self._screen, self._text = screen, text
        self._lively = lively
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._lively:
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()

    def _draw(self) -> None:
        utf8 = (self._screen.encoding or "").lower().replace("-", "") == "utf8"
        pictures = self._PICTURES if utf8 else self._PLAIN
        if self._over.wait(_PATIENCE):
            return
        ticks = 0
        while True:
            seconds = int(_PATIENCE + ticks * _PACE)
            since = f" ({seconds} s)" if seconds else ""
            room = columns_of(self._screen) - 3 - width(since)
            line = f"{pictures[ticks % len(pictures)]} {cut(self._text, room)}{since}"
            self._screen.write(f"\r{line}\x1b[K")
            self._screen.flush()
            ticks += 1
            if self._over.wait(_PACE):
                break
        self._screen.write("\r\x1b[K")
        self._screen.flush()


def confirmed(question: str) -> bool:
    """Ask `question` and take only yes for a yes."""
    terminal = Terminal()
    with terminal.conversation():
        try:
            answer = terminal.ask(question, echo=True)
        except (EndOfInput, AnswerTooLong):
            return False
    return bytes(answer).strip().lower() in (b"y", b"yes")
