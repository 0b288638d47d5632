# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The lines of a file of /etc/pam.d, cut and split as libpam 1.5.2 does it.

The odd rules are its own (libpam/pam_handlers.c, pam_misc.c): a ``#`` anywhere ends a line and a
continuation with it, ``[...]`` is one word in which ``\\]`` stands for ``]``, words of one line are
compared without regard to case, and a line holds 1023 bytes: what follows is the next line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

#: Of a line with its continuations, the terminating zero included (``BUF_SIZE``).
_BUFFER = 1024
_BLANK = " \n\t"
TYPES = ("auth", "account", "password", "session")
CONTROLS = ("required", "requisite", "sufficient", "optional")


#: The folders in which distributions have modules, and so the whole paths of libpam's own.
_FOLDER = re.compile(
    r"(?:(?:/usr|/(?:nix|gnu)/store/[\w.+-]+)?"
    r"/lib(?:64|32|x32)?(?:/[\w.+-]+-linux-[\w.+-]+)?/security(?:/\$ISA)?|\$ISA)"
)
_SUFFIX = re.compile(r"\.so(?:\.[0-9]+)*\Z")


class Fault(StrEnum):
    """The reason why libpam cannot take a line for what it seems to be. The values are kinds of
    findings."""

    TYPE = "unknown-type"
    CONTROL_MISSING = "no-control"
    MODULE_MISSING = "no-module"
    TOO_LONG = "line-too-long"
    CONTINUED = "continued-at-end"  #: a last line that ends with a backslash


@dataclass(frozen=True)
class Line:
    """One line, continuations joined."""

    file: Path
    number: int  #: of its first line in the file
    type: str  #: in lower case; ``@include`` too; of an unknown one as it stands there
    silent: bool  #: the type has a ``-`` in front
    control: str  #: without the brackets; empty: missing
    bracketed: bool
    module: str  #: the module, or the file that is included; empty: missing
    args: tuple[str, ...]
    fault: Fault | None = None

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def name(self) -> str:
        """The module without folder and suffix: ``pam_unix``. A module that cannot be loaded keeps
        both. So does one of another folder, which may be anything: one with a whole path, or with a
        path that counts from libpam's folder and may lead out of it."""
        folder, slash, base = self.module.rpartition("/")
        if slash and not _FOLDER.fullmatch(folder):
            base = self.module
        return _SUFFIX.sub("", base) or base

    @property
    def loadable(self) -> bool:
        """Whether libpam can find a module by this name: not without a suffix, nor with a carriage
        return of a file that was written elsewhere."""
        return _SUFFIX.search(self.module) is not None

    @property
    def includes(self) -> bool:
        return self.type == "@include" or self.control.lower() in ("include", "substack")

    def with_control(self, control: str, *more: str) -> str:
        """The line as it should be written, with `control`, and with `more` arguments."""
        dash = "-" if self.silent else ""
        args = map(_quoted, (*self.args, *more))
        return " ".join([f"{dash}{self.type} {control}", self.module, *args])

    def __str__(self) -> str:
        return self.with_control(f"[{self.control}]" if self.bracketed else self.control)


def parse(file: Path, number: int, text: str) -> Line:
    """A single line, without its end."""
    return _line(file, number, text, None)


def read(file: Path, content: bytes) -> list[Line]:
    """The lines of `content`, which stood in `file`, in order."""
    found = []
    for number, text, fault in _assembled(content):
        found.append(_line(file, number, text.decode("utf-8", "surrogateescape"), fault))
    return found


def _assembled(content: bytes) -> Iterator[tuple[int, bytes, Fault | None]]:
    """(number of the first line, whole line, fault), as ``_pam_assemble_line`` makes them.

    Where a line is too long or continued past the end of the file, libpam gives the file up, or
    takes the rest for a new line: the part that was read is passed on with the fault, and is the
    last.
    """
    number, first, joined, continued = 0, 0, b"", False
    for physical in content.split(b"\n"):
        number += 1
        if len(joined) + len(physical) + 1 >= _BUFFER:
            yield first if continued else number, physical[:_BUFFER], Fault.TOO_LONG
            return
        text, zero, _lost = physical.partition(b"\0")
        body = text.lstrip(b" \t")
        if not body or body.startswith(b"#"):
            continue
        if not continued:
            first = number
        before, sign, _comment = body.partition(b"#")
        stripped = before.rstrip(_BLANK.encode())
        if not sign and not zero and stripped.endswith(b"\\"):
            joined += text[: len(text) - len(body)] + stripped[:-1] + b" "
            continued = True
            continue
        yield first, joined + before, None
        joined, continued = b"", False
    if continued:
        yield first, joined, Fault.CONTINUED


def _line(file: Path, number: int, text: str, fault: Fault | None) -> Line:
    words = _words(text)
    kind, _bracketed = next(words, ("", False))
    silent = kind.startswith("-")
    kind = kind[silent:]
    known = kind.lower() in (*TYPES, "@include")
    kind = kind.lower() if known else kind
    control, bracketed = ("", False) if kind == "@include" else next(words, ("", False))
    module, _bracketed = next(words, ("", False))
    if fault is None:
        if not known:
            fault = Fault.TYPE
        elif not control and kind != "@include":
            fault = Fault.CONTROL_MISSING
        elif not module:
            fault = Fault.MODULE_MISSING
    args = tuple(word for word, _bracketed in words)
    return Line(file, number, kind, silent, control, bracketed, module, args, fault)


def _quoted(word: str) -> str:
    """A word of a line, in brackets where it needs them."""
    if word and word[0] != "[" and not any(blank in word for blank in _BLANK):
        return word
    return "[" + word.replace("]", "\\]") + "]"


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """(word, whether it stood in brackets), as ``_pam_StrTok`` gives them out."""
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in _BLANK:
            at += 1
        if at >= end:
            return
        start = at
        if text[at] != "[":
            while at < end and text[at] not in _BLANK:
                at += 1
            yield text[start:at], False
            at += 1
            continue
        at += 1
        word = []
        while at < end and text[at] != "]":
            at += text[at] == "\\" and text[at + 1 : at + 2] == "]"
            word.append(text[at])
            at += 1
        yield "".join(word), True
        at += 1
