# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Reads what the sandboxes' processes have left: Python's by coverage.py, C's by gcov."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import Count, File
from .start import PACKAGES, ROOTS

if TYPE_CHECKING:
    import coverage

#: Says nothing about the tests: read by type checkers alone.
NEVER_RUN = r"if (typing\.)?TYPE_CHECKING:"
NATIVE = "pam_ukey/native"
GCOV_SECONDS = 60


def files(checkout: Path, runs: list[Path]) -> dict[str, File]:
    """Every source file of the product, by its path in the checkout; `runs`: the folders that
    ``inside.sh`` was given."""
    return {
        **python_files(checkout, [run / "python" for run in runs]),
        **native_files(checkout, [run / "native" for run in runs]),
    }


def combine(counts: list[Path]) -> coverage.Coverage:
    """All that Python processes left. What is installed lies under another path, and is the same
    file."""
    # Here: the smoke tier's sandbox, where tests of this are collected, has none.
    import coverage
    from coverage.exceptions import CoverageException, CoverageWarning

    total = counts[0].parent / "total"
    total.mkdir(exist_ok=True)
    reading = coverage.Coverage(data_file=total / "data", branch=True, config_file=False)
    reading.set_option("paths", {name: [f"{root}/{name}" for root in ROOTS] for name in PACKAGES})
    reading.exclude(NEVER_RUN)
    left = [path for folder in counts for path in folder.iterdir()]
    broken = 0
    for path in left:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                reading.combine([str(path)], keep=True)
        except (CoverageException, CoverageWarning, sqlite3.Error):
            broken += 1
    print(f"{len(left)} processes counted; {broken} were killed while they wrote", file=sys.stderr)
    reading.get_data().add_arcs({})  # what kind of data it is, even where no process has left any
    return reading


def python_files(checkout: Path, counts: list[Path]) -> dict[str, File]:
    reading = combine(counts)
    sources = [str(path) for name in PACKAGES for path in (checkout / name).rglob("*.py")]
    reading.get_data().touch_files(sources)  # what no process has imported is there too
    report = counts[0].parent / "report.json"
    reading.json_report(sources, outfile=str(report))
    found = {}
    for path, told in json.loads(report.read_text())["files"].items():
        sums = told["summary"]
        found[str((checkout / path).relative_to(checkout))] = File(
            Count(sums["covered_lines"], sums["num_statements"]),
            Count(sums["covered_branches"], sums["num_branches"]),
            tuple(told["missing_lines"]),
        )
    return found


def native_files(checkout: Path, counts: list[Path]) -> dict[str, File]:
    """A line ran in any of the sandboxes; a branch is one way out of a condition."""
    lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    branches: dict[str, dict[tuple[str, int, int], int]] = defaultdict(lambda: defaultdict(int))
    for folder in counts:
        for told in _gcov(folder):
            name = Path(told["file"]).name
            if not (checkout / NATIVE / name).exists():
                continue  # a system header
            for line in told["lines"]:
                number = line["line_number"]
                lines[name][number] += line["count"]
                for index, branch in enumerate(line["branches"]):
                    key = line.get("function_name", ""), number, index
                    branches[name][key] += branch["count"]
    return {
        f"{NATIVE}/{name}": File(
            Count(sum(map(bool, of.values())), len(of)),
            Count(sum(map(bool, branches[name].values())), len(branches[name])),
            tuple(sorted(number for number, count in of.items() if not count)),
        )
        for name, of in lines.items()
    }


def _gcov(folder: Path) -> Iterator[dict[str, Any]]:
    for notes in sorted(folder.glob("*.gcno")):
        counts = notes.with_suffix(".gcda")
        if not counts.stat().st_size:
            counts.unlink()  # made by counting-cc, and nothing of it ran
        command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", notes.name]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=GCOV_SECONDS, check=True
        )
        for document in done.stdout.splitlines():
            yield from json.loads(document)["files"]
