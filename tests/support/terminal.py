# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A terminal with a person at it, who answers what programs ask without echo."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .process import HostError, must, run, wait_until

#: The end of a hidden question: "Password: ", "PIN：", with nothing behind it.
_QUESTION = re.compile(r"[^\r\n]*[:：] ?\Z")

_utf8 = codecs.getincrementaldecoder("utf-8")

#: ^D, as an answer
END_OF_INPUT = "\x04"

Answers = Sequence[str | Callable[[], str]]


class Terminal:
    """A pseudo-terminal, under its own name or as a console, and at most one program at a time."""

    def __init__(self, console: str = "") -> None:
        """`console`: the name below /dev, such as tty1, that programs see instead of pts/N."""
        self._master, slave = os.openpty()
        self.path = Path(os.ttyname(slave))
        os.close(slave)
        self._console: Path | None = None
        if console:
            self._console = Path("/dev", console)
            self._made = not self._console.exists()
            self._console.parent.mkdir(exist_ok=True)  # 3270/tty1 has one of its own
            self._console.touch()
            must(["mount", "--bind", self.path, self._console])
            self.path = self._console
        self.screen = ""
        #: where on the screen the next question can stand
        self._answered = 0
        self._decoder = _utf8(errors="replace")
        self._program: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """As PAM_TTY has it: tty1, pts/3."""
        return str(self.path.relative_to("/dev"))

    def start(
        self, command: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None
    ) -> None:
        """Run `command` on this terminal, in a session of its own. The screen starts empty."""
        self.finish()
        self.screen, self._answered = "", 0
        slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            self._program = subprocess.Popen(
                command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                env={"PATH": os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8", **(env or {})},
            )
        finally:
            os.close(slave)

    def _hidden(self) -> bool:
        return not termios.tcgetattr(self._master)[3] & termios.ECHO

    def _read(self, seconds: float) -> bool:
        """Read what the program wrote, and wait up to `seconds` for it; False when nothing came."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            self.screen += self._decoder.decode(os.read(self._master, 65536))
        except OSError:  # nobody has the terminal open
            return False
        return True

    def wait_question(self, seconds: float = 60, over: re.Pattern[str] | None = None) -> str | None:
        """The text of the next hidden prompt; None when the program ended, or wrote `over`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._read(0.01):
                continue
            if over is not None and over.search(self.screen):
                return None
            if self._hidden() and (found := _QUESTION.search(self.screen, self._answered)):
                return found[0].strip()
            if self.status is not None:
                while self._read(0):
                    pass
                return None
        raise HostError(f"neither a prompt nor an end within {seconds} s; screen:\n{self.screen}")

    def wait_end(self, seconds: float = 60) -> int:
        """Return the program's exit status once it has ended, and ignore what it asks meanwhile."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            if not self._read(0.01) and time.monotonic() > deadline:
                raise HostError(f"no end within {seconds} s; screen:\n{self.screen}")
        while self._read(0):
            pass
        return self.status

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """The person changes the window: SIGWINCH for the program."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def interrupt(self) -> None:
        """^C."""
        self.type("\x03")

    def hang_up(self) -> None:
        """The person closes the window: the terminal's end is SIGHUP for the program."""
        if self._program is not None:
            os.killpg(self._program.pid, signal.SIGHUP)

    @property
    def pid(self) -> int:
        """The program's."""
        assert self._program is not None
        return self._program.pid

    @property
    def status(self) -> int | None:
        """The program's exit status, None while it runs."""
        return None if self._program is None else self._program.poll()

    def converse(
        self, answers: Answers, *, seconds: float = 60, over: re.Pattern[str] | None = None
    ) -> list[str]:
        """Answer hidden prompts until the program ends or writes `over`; returns the prompts.

        An answer may be a function, called while the prompt stands; it returns the answer. At a
        prompt beyond the last answer the person presses ^D.
        """
        prompts: list[str] = []
        left = list(answers)
        while (prompt := self.wait_question(seconds, over)) is not None:
            prompts.append(prompt)
            answer = left.pop(0) if left else END_OF_INPUT
            self.answer(answer if isinstance(answer, str) else answer(), seconds)
        return prompts

    def answer(self, text: str, seconds: float = 60) -> None:
        """Type what the prompt asks for; returns when it is taken."""
        self._answered = len(self.screen)
        self.type(text if text == END_OF_INPUT else text + "\n")
        self._wait_taken(seconds)

    def _wait_taken(self, seconds: float) -> None:
        """An answer is taken when its line end is shown: before that, its prompt would be found
        again."""
        deadline = time.monotonic() + seconds
        while (end := self.screen.find("\n", self._answered)) < 0:
            if not self._read(0.01) and self.status is not None:
                return
            if time.monotonic() > deadline:
                raise HostError(f"the answer was not taken; screen:\n{self.screen}")
        self._answered = end + 1

    def finish(self) -> None:
        """End the program, if one runs, and all that it started on this terminal."""
        if self._program is not None:
            if self._program.poll() is None:
                os.killpg(self._program.pid, signal.SIGKILL)
            self._program.wait(10)
            self._program = None

    def close(self) -> None:
        self.finish()
        os.close(self._master)
        if self._console is not None:
            # A process that was killed with the program may have it open for a moment longer.
            free = ["umount", os.fspath(self._console)]
            wait_until(lambda: run(free).returncode == 0, f"{self._console} free")
            if self._made:
                self._console.unlink()
            if self._console.parent != Path("/dev"):
                self._console.parent.rmdir()
            self._console = None
