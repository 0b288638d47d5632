# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A service's auth stack with all that it includes, as libpam 1.5.2 puts it together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from .controls import uncountable
from .lines import Fault, Line
from .lines import read as read_lines
from .places import Places
from .reading import Unreadable
from .reading import read as read_file

#: How deep substacks nest at most (``PAM_SUBSTACK_MAX_LEVEL``); from libpam 1.6 on includes too,
#: which before that nest as deep as a process can have files open.
DEPTH_MAX = 16
#: Far above any real stack; a hostile one is refused, not evaluated for hours.
PARTS_MAX = 400

OTHER = "other"


class Lost(StrEnum):
    """The reason why an include fails. The values are kinds of findings."""

    MISSING = "include-missing"
    UNREADABLE = "include-unreadable"
    LOOP = "include-loop"
    DEEP = "include-too-deep"
    NAMELESS = "include-nameless"


class TooLong(Exception):
    """More lines than are evaluated."""


@dataclass(frozen=True)
class Module:
    """A line that calls a module, or that libpam makes fail because it does not understand it."""

    index: int  #: its name in traces and outcomes
    line: Line


@dataclass(frozen=True)
class Group:
    """A file within a file."""

    index: int
    line: Line
    file: Path | None
    parts: tuple[Part, ...] = ()
    lost: Lost | None = None
    typed: bool = False  #: within a file that is included for one type

    @property
    def substack(self) -> bool:
        return self.line.control.lower() == "substack"

    @property
    def failed(self) -> bool:
        """libpam cannot load the file: it fails here, or gives up the file in which this line
        stands."""
        return self.lost is not None or _gives_up(self.parts)


@dataclass(frozen=True)
class GiveUp:
    """The place where libpam stops reading a file: a line that loads it fails."""

    line: Line


Part = Module | Group | GiveUp


@dataclass
class Stack:
    """What libpam runs for a service, and every line that it has read to get there."""

    service: str
    file: Path
    parts: tuple[Part, ...] = ()
    other: tuple[Part, ...] = ()  #: of the file "other", whose damage is every service's
    lines: list[Line] = field(default_factory=list)  #: of all types, each once
    files: dict[Path, None] = field(default_factory=dict)  #: every file that was read
    #: The result depends on libpam and on the program: includes nest so deep, a number is so large,
    #: or a module of an included file has no name.
    undefined: bool = False

    @property
    def fallen_back(self) -> bool:
        """The service has no auth line, so that libpam takes those of "other"."""
        return not any(isinstance(part, Module) for part in walk(self.parts))

    @property
    def running(self) -> tuple[Part, ...]:
        return self.other if self.fallen_back else self.parts

    @property
    def size(self) -> int:
        """More than any index."""
        parts = (*walk(self.parts), *walk(self.other))
        return 1 + max((part.index for part in parts if not isinstance(part, GiveUp)), default=-1)

    def modules(self) -> list[Module]:
        """The lines that run, in order."""
        return [part for part in walk(self.running) if isinstance(part, Module)]


def walk(parts: tuple[Part, ...]) -> Iterator[Part]:
    """Each part, those of a group behind it."""
    for part in parts:
        yield part
        if isinstance(part, Group):
            yield from walk(part.parts)


def counted(parts: tuple[Part, ...]) -> Iterator[Module | Group]:
    """The parts that libpam counts when it jumps: those of plain includes, and each substack."""
    for part in parts:
        if isinstance(part, Group) and not part.substack and part.lost is None:
            yield from counted(part.parts)
        elif not isinstance(part, GiveUp):
            yield part


def load(places: Places, service: str, file: Path, *, beside: Path | None = None) -> Stack:
    """The stack of `service`, read from `file`; included files are looked for in `beside` first.

    Raises :class:`Unreadable` and :class:`TooLong`.
    """
    stack = Stack(service, file)
    loader = _Loader(places, beside, stack)
    stack.parts = loader.file(file, None, (), 0)
    other = places.find(OTHER)
    if other is not None and service != OTHER:
        known = len(stack.lines), dict(stack.files)
        try:
            stack.other = loader.file(other, None, (), 0)
        except Unreadable as error:
            if error.forbidden and stack.fallen_back:
                raise
            stack.other = ()
        if not stack.fallen_back:
            del stack.lines[known[0] :]
            stack.files = known[1]
    return stack


class _Loader:
    """Reads a file, and those that it includes, once for each time that they are included."""

    def __init__(self, places: Places, beside: Path | None, stack: Stack) -> None:
        self._places, self._beside, self._stack = places, beside, stack
        self._count = 0
        self._read: dict[Path, list[Line]] = {}
        self._told: set[tuple[Path, int, str]] = set()

    def file(
        self, file: Path, wanted: str | None, chain: tuple[tuple[Path, int], ...], substacks: int
    ) -> tuple[Part, ...]:
        """The auth parts of `file`. `wanted`: the type that it is included for, None for all."""
        parts: list[Part] = []
        for line in self._lines(file):
            kind = self._type(line, wanted)
            if wanted is not None and kind not in (wanted, "@include"):
                continue
            self._tell(line, kind)
            if line.fault in (Fault.TOO_LONG, Fault.CONTINUED) or self._unnameable(line):
                # In a file that is included, libpam 1.5.2 goes on with memory that it has not set.
                self._stack.undefined |= bool(chain) and self._unnameable(line)
                parts.append(GiveUp(line))
                break
            if line.includes and line.fault is not Fault.TYPE:
                given = wanted if kind == "@include" else kind
                group = self._group(line, given, (*chain, (file, substacks)), substacks)
                if kind == "auth" or given in ("auth", None):
                    parts.append(group)
                if given is None and group.failed:
                    break  # libpam gives this file up too
            elif kind == "auth":
                self._stack.undefined |= uncountable(line.control)
                parts.append(Module(self._number(), line))
        return tuple(parts)

    def _lines(self, file: Path) -> list[Line]:
        if file not in self._read:
            content = read_file(self._places.follow(file))
            self._read[file] = read_lines(file, content)
            self._stack.files[file] = None
        return self._read[file]

    @staticmethod
    def _type(line: Line, wanted: str | None) -> str:
        """The type that libpam takes a line for. A line of an unknown type counts as the type that
        its file is included for."""
        if line.fault is Fault.TYPE:
            return wanted or "auth"
        return line.type

    @staticmethod
    def _unnameable(line: Line) -> bool:
        """A module without a name, which libpam refuses with the whole file."""
        name = line.module.rsplit("/", 1)[-1].rpartition(".")
        plain = name[0] if name[1] else name[2]
        return bool(line.module) and not line.includes and plain in ("", "?")

    def _tell(self, line: Line, kind: str) -> None:
        if (line.file, line.number, kind) not in self._told:
            self._told.add((line.file, line.number, kind))
            self._stack.lines.append(line)

    def _number(self) -> int:
        self._count += 1
        if self._count > PARTS_MAX:
            raise TooLong
        return self._count - 1

    def _group(
        self,
        line: Line,
        wanted: str | None,
        chain: tuple[tuple[Path, int], ...],
        substacks: int,
    ) -> Group:
        index = self._number()

        def lost(why: Lost, file: Path | None = None) -> Group:
            return Group(index, line, file, lost=why, typed=typed)

        typed = wanted is not None
        deeper = substacks + (line.control.lower() == "substack")
        if not line.module:
            return lost(Lost.NAMELESS)
        file = self._find(line.module)
        if file is None:
            return lost(Lost.MISSING)
        if deeper >= DEPTH_MAX:
            return lost(Lost.DEEP, file)
        # A substack that includes itself ends at that depth; an include does not.
        if (file, deeper) in chain or len(chain) >= DEPTH_MAX:
            self._stack.undefined = True
            return lost(Lost.LOOP if (file, deeper) in chain else Lost.DEEP, file)
        try:
            return Group(index, line, file, self.file(file, wanted, chain, deeper), typed=typed)
        except Unreadable as error:
            if error.forbidden:  # but libpam may read it
                raise
            return lost(Lost.MISSING if error.missing else Lost.UNREADABLE, file)

    def _find(self, name: str) -> Path | None:
        if self._beside is not None and "/" not in name and "\0" not in name:
            beside = self._beside / name
            if beside.is_file():
                return beside
        return self._places.find(name)


def _gives_up(parts: tuple[Part, ...]) -> bool:
    """Whether libpam fails to load the file that `parts` are of."""
    for part in parts:
        if isinstance(part, GiveUp):
            return True
        if isinstance(part, Group) and part.line.type == "@include" and part.failed:
            return not part.typed
    return False
