# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A stack rewritten to see what libpam does with it.

Every module becomes ``pam_debug.so``, which returns what it is told, and every file that is
included becomes a file of the private folder, so that libpam opens nothing of the host's. In front
of each module stands a line that shows its number and has no say; jumps go over twice as many lines
in return. Broken lines stay as they are, for libpam to judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .controls import CODES, doubled
from .lines import CONTROLS, Fault, Line
from .stack import OTHER, GiveUp, Group, Module, Part, Stack, TooLong

#: The names that libpam is given.
SERVICE = "stack"
_LINE_MAX = 1000

#: The part that stands in the place of a module: a text, or the number of the module.
Piece = str | int


@dataclass
class Copy:
    """Files by name, in pieces. ``{folder}`` in a piece is the private folder."""

    files: dict[str, list[Piece]] = field(default_factory=dict)
    creds: dict[int, str] = field(default_factory=dict)

    def module(self, index: int, code: str | None) -> str:
        """The text that replaces a module that returns `code`, None for one that is missing."""
        if code is None:
            return "{folder}/missing.so"
        assert code in CODES
        return f"pam_debug.so auth={code} cred={self.creds.get(index, 'success')}"


def of(stack: Stack, creds: dict[int, str]) -> Copy:
    """The copy of `stack`; `creds`: what a module's pam_setcred returns, where not success."""
    copy = Copy(creds=creds)
    _Writer(copy, modules=True).file(SERVICE, stack.parts)
    # The modules of "other" do not run where the service has its own; but a fault in it breaks the
    # service too.
    _Writer(copy, modules=stack.fallen_back).file(OTHER, stack.other)
    return copy


class _Writer:
    def __init__(self, copy: Copy, *, modules: bool) -> None:
        self._copy, self._modules = copy, modules

    def file(self, name: str, parts: tuple[Part, ...]) -> None:
        pieces: list[Piece] = []
        self._copy.files[name] = pieces
        for part in parts:
            if isinstance(part, Module):
                pieces += _module(part) if self._modules else ()
            elif isinstance(part, Group):
                self._group(part, pieces)
            else:
                pieces += _give_up(part)

    def _group(self, group: Group, pieces: list[Piece]) -> None:
        name = f"part{group.index}"
        if group.line.type == "@include":
            if group.lost is not None and group.typed:
                # A line that fails. What libpam 1.5.2 does with it depends on the line before.
                pieces.append(_marker() + "auth [default=bad]\n")
                return
            control = "@include"
        else:
            control = f"auth {group.line.control.lower()}"
            # libpam counts a substack as one line, and the failure to load a file as one.
            if group.substack or group.lost is not None:
                pieces.append(_marker())
        if group.lost is None:
            self.file(name, group.parts)
        pieces.append(f"{control} {{folder}}/{name}\n")
        if group.substack and group.failed:
            pieces.append(_marker())


def _marker(index: int | None = None) -> str:
    return f"auth [default=ignore] pam_echo.so {'-' if index is None else index}\n"


def _module(module: Module) -> list[Piece]:
    line = module.line
    kind = "auth" if line.fault is not Fault.TYPE else "unknown"
    start = f"{_marker(module.index)}{'-' if line.silent else ''}{kind}"
    if line.fault is Fault.CONTROL_MISSING:
        return [f"{start}\n"]
    start += f" {_control(line)}"
    if line.fault is Fault.MODULE_MISSING:
        return [f"{start}\n"]
    return [f"{start} ", module.index, "\n"]


def _control(line: Line) -> str:
    if line.control.lower() in CONTROLS:
        return line.control
    text = doubled(line.control).replace("]", "\\]").replace("{", "{{").replace("}", "}}")
    if len(text) > _LINE_MAX:
        raise TooLong
    return f"[{text}]"


def _give_up(part: GiveUp) -> list[Piece]:
    """A line that is continued where the file ends: libpam gives the file up."""
    return [_marker(), "auth required pam_deny.so \\"]
