# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``scripts/acceptance`` is what a person calls; its help says what this does."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from . import facts, person
from .report import Came, Report, ReportError, table
from .steps import STEPS, Step

#: Seconds until the log has the line of an attempt that has ended.
_LOG_SECONDS = 10


class Hands(Protocol):
    """Who does the steps."""

    def do(self, step: Step) -> Came: ...

    def log(self) -> Sequence[str]: ...


def main() -> int:
    """Exit status: 0; 1 a step failed or a report cannot be read; 2 wrong usage; 3 to be gone on
    with."""
    parser = argparse.ArgumentParser(prog="scripts/acceptance")
    parser.add_argument("--package", type=Path, help="with an emulated ukey, this package")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("reports", type=Path, nargs="+", metavar="REPORT")
    given = parser.parse_args()
    try:
        reports = [Report(path) for path in given.reports]
    except ReportError as error:
        print(f"scripts/acceptance: {error}", file=sys.stderr)
        return 1
    if given.table:
        print(table(reports))
        return 0
    if len(reports) > 1:
        parser.error("one report at a time")
    if os.geteuid() != 0:
        parser.error("the log and the bindings can be read by root only")
    with _hands(given.package) as (hands, by):
        try:
            return walk(reports[0], hands, by)
        except person.Later:
            print(f"\nTo go on: scripts/acceptance {reports[0].path}")
            return 3


def _hands(package: Path | None) -> AbstractContextManager[tuple[Hands, str]]:
    if package is None:
        return nullcontext((person.Person(), person.BY))
    from . import auto  # what it imports is in a checkout's tests, not on every host

    return auto.ready(package)


def walk(report: Report, hands: Hands, by: str) -> int:
    """Do what has not passed yet; the exit status."""
    for step in STEPS:
        if report.came.get(step.name) is Came.PASSED:
            continue
        before = len(hands.log())
        came, why = hands.do(step), ""
        if came is Came.PASSED:
            why = step.wrong() or _unseen(step, hands, before)
            came = Came.FAILED if why else came
        if step.name == "turn on":  # the package and the ukey are there, and will be gone later
            report.facts = facts.of_this_host() | {"by": by}
        report.note(step.name, came, why)
        print(f"{step.name}: {came}{f' ({why})' if why else ''}", flush=True)
    print(f"\n{table([report])}\n\nThe report: {report.path}")
    return 1 if Came.FAILED in report.came.values() else 0


def _unseen(step: Step, hands: Hands, before: int) -> str:
    """Why the audit log does not show what is expected; empty where it does."""
    if step.expected is None:
        return ""
    deadline = time.monotonic() + _LOG_SECONDS
    while True:
        lines = hands.log()[before:]
        if any(map(step.seen_in, lines)):
            return ""
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    told = [
        f"{found[1]} {found[2]}"
        for line in lines
        if (found := re.search(r"\bservice=([\w-]+) .*\bverdict=(\w+)", line))
    ]
    return f"the log has {', '.join(told) or 'no attempt'}"


if __name__ == "__main__":
    raise SystemExit(main())
