# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The report: a JSON file without names, serials or anything that was typed; and the table that
reports make."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from .steps import STEPS

VERSION = 1
_COLUMNS = ("Host", "pam-ukey", "Ukey", "Tried by", "Passed", "Failed", "Skipped", "On")
_HEAD = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


class Came(StrEnum):
    """What came of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ReportError(Exception):
    """A report cannot be read."""


class Report:
    """Written after each step, so that it can be gone on with."""

    def __init__(self, path: Path) -> None:
        """Read the one at `path`, or begin it. Raises :class:`ReportError`."""
        self.path = path
        self.facts: dict[str, str] = {}
        self.came: dict[str, Came] = {}
        self.why: dict[str, str] = {}
        if path.exists():
            self._read()

    def note(self, step: str, came: Came, why: str = "") -> None:
        """Write down what came of a step. `why`: of a failure; the host's words, no person's."""
        self.came[step] = came
        self.why.pop(step, None)
        if why:
            self.why[step] = why
        self.write()

    def write(self) -> None:
        rows = [
            {"step": step.name, "came": self.came[step.name]}
            | ({"why": self.why[step.name]} if step.name in self.why else {})
            for step in STEPS
            if step.name in self.came
        ]
        content = {"version": VERSION, **self.facts, "steps": rows}
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        new.replace(self.path)

    def row(self) -> str:
        """Its line of the table."""
        counts = [self._steps(came) for came in Came]
        known = (self.facts.get(name, "?") for name in ("host", "pam_ukey", "ukey", "by"))
        return f"| {' | '.join([*known, *counts, self.facts.get('on', '?')])} |"

    def _steps(self, came: Came) -> str:
        """How many passed; which failed or were skipped."""
        names = [step.name for step in STEPS if self.came.get(step.name) == came]
        if came is Came.PASSED:
            return f"{len(names)} of {len(STEPS)}"
        return ", ".join(names) or "–"

    def _read(self) -> None:
        try:
            content = json.loads(self.path.read_text())
            if content.pop("version") != VERSION:
                raise ReportError(f"{self.path}: it is not of version {VERSION}")
            for row in content.pop("steps"):
                self.came[row["step"]] = Came(row["came"])
                if "why" in row:
                    self.why[row["step"]] = str(row["why"])
            self.facts = {str(name): str(value) for name, value in content.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReportError(f"{self.path}: it is no report ({error})") from None


def table(reports: Iterable[Report]) -> str:
    """The table "Tested on"."""
    return "\n".join([_HEAD, *(report.row() for report in reports)])
