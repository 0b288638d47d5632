# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The frame of every command: its parser and help, its signals, how it fails and how it ends."""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from keyservice.contract.names import ErrorName

from . import exits, language, output
from .exits import Exit
from .language import _

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


@dataclass(frozen=True)
class Manual:
    """What a command's ``--help`` teaches beyond its options. Texts are marked, not translated;
    a title's body is one text."""

    summary: str
    about: str = ""
    examples: Sequence[tuple[str, str]] = ()  #: (command line, what it is for)
    json_keys: Sequence[tuple[str, str]] = ()  #: (key, its meaning); empty: no --json
    files: Sequence[tuple[str, str]] = ()
    see: Sequence[str] = ()
    usage: Sequence[str] = ()  #: its forms; empty: argparse makes one
    subcommands: Sequence[tuple[str, str]] = ()


class _Formatter(argparse.HelpFormatter):
    """argparse's layout, with line breaks for Chinese and paragraphs kept."""

    def __init__(self, prog: str) -> None:
        columns = min(output.columns_of(sys.stdout), output.PROSE_MAX)
        super().__init__(prog, max_help_position=28, width=columns)

    def _format_usage(self, *arguments: Any) -> str:
        """argparse counts characters: what it puts below the prefix is moved to its columns."""
        text = super()._format_usage(*arguments)
        prefix = _("usage: ")
        shift = " " * (output.width(prefix) - len(prefix))
        return re.sub(r"\n(?= )", "\n" + shift, text)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return output.wrap(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            "\n".join(indent + line for line in output.wrap(paragraph, width - len(indent)))
            for paragraph in text.split("\n\n")
        )


class Parser(argparse.ArgumentParser):
    """A parser whose help is a manual page."""

    def __init__(self, prog: str, manual: Manual) -> None:
        super().__init__(
            prog=prog,
            description="\n\n".join(_(text) for text in (manual.summary, manual.about) if text),
            formatter_class=_Formatter,
            allow_abbrev=False,
            usage=("\n" + " " * len(_("usage: "))).join(manual.usage) or None,
        )
        self.manual = manual
        if manual.json_keys:
            self.add_argument(
                "--json",
                action="store_true",
                help=_("print one JSON object on standard output, for programs; keys below"),
            )

    def format_help(self) -> str:
        columns = min(output.columns_of(sys.stdout), output.PROSE_MAX)
        manual = self.manual
        parts = [super().format_help().rstrip()]
        if manual.subcommands:
            rows = [(name, _(summary)) for name, summary in manual.subcommands]
            parts.append(_list(_("subcommands:"), rows, columns))
        if manual.examples:
            lines = [_("examples:")]
            for line, purpose in manual.examples:
                lines += [f"  {text}" for text in output.wrap("# " + _(purpose), columns - 2)]
                lines += [f"  {line}"]
            parts.append("\n".join(lines))
        if manual.json_keys:
            keys = [(key, _(meaning)) for key, meaning in manual.json_keys]
            parts.append(_list(_("keys of --json:"), [*keys, *_common_keys(keys)], columns))
        statuses = [(str(int(status)), _(text)) for status, text in exits.MEANINGS.items()]
        parts.append(_list(_("exit status:"), statuses, columns))
        if manual.files:
            files = [(path, _(text)) for path, text in manual.files]
            parts.append(_list(_("files:"), files, columns))
        if manual.see:
            parts.append(_("see also:") + "\n  " + "  ".join(manual.see))
        return "\n\n".join(parts) + "\n"

    def error(self, message: str) -> NoReturn:
        """A wrong command line: two lines on standard error, not the whole help."""
        sys.stderr.write(self.format_usage())
        hint = _("Try: {command} --help").format(command=self.prog)
        sys.stderr.write(f"{self.prog}: {output.printable(message)}\n{hint}\n")
        raise SystemExit(int(Exit.USAGE))


def name(text: str) -> str:
    """argparse's type of an option that names something: an unset variable names nothing."""
    if not text:
        raise argparse.ArgumentTypeError(_("it is empty"))
    return text


def _common_keys(own: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The keys that every command has, behind its own."""
    common = [
        ("ok", _("true when the exit status is 0; else there are also:")),
        ("error", _("the error's name, such as PinWrong, or null")),
        ("text", _("what failed, for people")),
        ("status", _("the exit status")),
    ]
    taken = {key for key, _text in own}
    return [row for row in common if row[0] not in taken]


def _list(title: str, rows: Iterable[tuple[str, str]], columns: int) -> str:
    """A titled list of names and what they mean, the meanings in one column."""
    rows = list(rows)
    indent = min(max(len(name) for name, _text in rows) + 4, 28)
    lines = [title]
    for name, text in rows:
        wrapped = output.wrap(text, columns - indent)
        head = f"  {name}"
        if len(head) + 2 > indent:
            lines.append(head)
            head = ""
        for line in wrapped:
            lines.append(head.ljust(indent) + line)
            head = ""
    return "\n".join(lines)


def need_root(sentence: str) -> None:
    """Say `sentence`, that this is root's, before anything is asked.

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
    """Run a command in the frame that all share, and exit. Launchers call this."""
    for stream in (sys.stdout, sys.stderr):
        assert not isinstance(stream, str)
        _never_fail(stream)
    _no_core()
    language.adopt()
    guard.install()
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except Failure as failure:
        status = _failed(failure, json="--json" in sys.argv[1:])
    except Stopped as stopped:
        guard.end(stopped.number)
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        guard.end(signal.SIGPIPE)
    except Exception as bug:  # the last stop: a traceback helps nobody who types PINs
        status = _bug(bug)
    if guard.pending is not None:
        guard.end(guard.pending)
    sys.exit(int(status))


class _Guard:
    """What an ending signal does: at a prompt it ends the command, :class:`Stopped`.

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
        """In the block, at a prompt, nothing is under way that has to be waited for."""
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
    """A character that the locale cannot show is no reason to stop in mid-sentence."""
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


def _bug(bug: Exception) -> Exit:
    """Where it broke, without the values: nothing that was typed can be in it."""
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
