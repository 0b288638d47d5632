# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The figures of one run: of each file, summed up by folder; as a table, as JSON, and compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

ALL = "all"
#: Points that a folder may lose: a run differs from the next by what it happens to wait for.
TOLERANCE = 0.5


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of lines or branches, and how many of them ran."""

    ran: int = 0
    there: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.ran + other.ran, self.there + other.there)

    @property
    def percent(self) -> float:
        """Of nothing, all ran."""
        return 100 * self.ran / self.there if self.there else 100.0


@dataclass(frozen=True, slots=True)
class File:
    """What ran of a file."""

    lines: Count
    branches: Count
    missing: tuple[int, ...] = ()  #: the lines that did not run

    def __add__(self, other: File) -> File:
        return File(self.lines + other.lines, self.branches + other.branches)


NOTHING = File(Count(), Count())


@dataclass(frozen=True, slots=True)
class Change:
    """A folder before and after: None where it was not there."""

    folder: str
    before: File | None
    after: File | None

    @property
    def lost(self) -> bool:
        """More than a run differs from the next."""
        return any(points < -TOLERANCE for points in self.points)

    @property
    def points(self) -> tuple[float, float]:
        """More percent of the lines and of the branches than before."""
        if self.before is None or self.after is None:
            return 0.0, 0.0
        return (
            self.after.lines.percent - self.before.lines.percent,
            self.after.branches.percent - self.before.branches.percent,
        )


def to_json(files: Mapping[str, File]) -> str:
    return json.dumps(
        {"version": 1, "files": {path: asdict(files[path]) for path in sorted(files)}}
    )


def from_json(text: str) -> dict[str, File]:
    """Raises :class:`ValueError` where `text` is not what :func:`to_json` made."""
    try:
        content = json.loads(text)
        if content["version"] != 1:
            raise ValueError(f"figures of version {content['version']}, not 1")
        return {
            path: File(Count(**file["lines"]), Count(**file["branches"]), tuple(file["missing"]))
            for path, file in content["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not figures of scripts/coverage: {error!r}") from None


def by_folder(files: Mapping[str, File]) -> dict[str, File]:
    """Each folder with the files that lie in it, those of its own folders left out; then all."""
    found: dict[str, File] = {}
    for path in sorted(files, key=lambda path: PurePath(path).parts):
        folder = str(PurePath(path).parent)
        found[folder] = found.get(folder, NOTHING) + files[path]
    return {**dict(sorted(found.items())), ALL: sum(files.values(), NOTHING)}


def compare(before: Mapping[str, File], after: Mapping[str, File]) -> list[Change]:
    """Every folder that is or was there."""
    old, new = by_folder(before), by_folder(after)
    names = [*sorted({*old, *new} - {ALL}), ALL]
    return [Change(name, old.get(name), new.get(name)) for name in names]


def table(files: Mapping[str, File]) -> str:
    """In Markdown, to be read in a terminal too."""
    return _aligned(
        ("Folder", "lines %", "branches %"),
        [
            (folder, f"{file.lines.percent:.1f}", f"{file.branches.percent:.1f}")
            for folder, file in by_folder(files).items()
        ],
    )


def comparison(changes: Iterable[Change]) -> str:
    """The same with what it was before: a folder that lost too much says so."""
    rows = []
    for change in changes:
        was, now = change.before, change.after
        row = [change.folder]
        for kind in range(2):
            row += [_percent(was, kind), _percent(now, kind)]
            row.append(f"{change.points[kind]:+.1f}" if was and now else "")
        row.append("lost" if change.lost else "new" if was is None else "" if now else "gone")
        rows.append(row)
    return _aligned(("Folder", "lines %", "now", "", "branches %", "now", "", ""), rows)


def _percent(file: File | None, kind: int) -> str:
    return "" if file is None else f"{(file.lines, file.branches)[kind].percent:.1f}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(2, *map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in (head, rule, *rows)
    )


def missing(files: Mapping[str, File]) -> str:
    """A line for each file of which lines did not run."""
    return "\n".join(
        f"{path}: {ranges(file.missing)}" for path, file in sorted(files.items()) if file.missing
    )


def ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers, as people write them: 1-3, 7."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ", ".join("-".join(map(str, each)) for each in found)
