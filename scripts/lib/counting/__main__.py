# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Figures of runs or of a file, shown: scripts/coverage calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import figures

LOST = 1
WRONG_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0; 1 where a folder lost too much; 2 for a file of other things."""
    given = parser().parse_args(arguments)
    try:
        before = figures.from_json(given.compare.read_text()) if given.compare else None
        if given.figures:
            now = figures.from_json(given.figures.read_text())
        else:
            # Here: it brings coverage.py, which the figures of a file do not need.
            from . import measured

            now = measured.files(given.checkout, given.run)
    except ValueError as error:
        print(f"counting: {error}", file=sys.stderr)
        return WRONG_USAGE
    if given.json:
        given.json.write_text(figures.to_json(now))
    changes = figures.compare(before, now) if before is not None else []
    print(figures.comparison(changes) if changes else figures.table(now))
    if given.missing:
        print(f"\nLines that did not run:\n{figures.missing(now)}")
    return LOST if any(change.lost for change in changes) else 0


def parser() -> argparse.ArgumentParser:
    given = argparse.ArgumentParser(prog="counting", description=__doc__)
    source = given.add_mutually_exclusive_group(required=True)
    source.add_argument("--figures", type=Path, help="a file that --json wrote")
    source.add_argument("--run", type=Path, nargs="+", help="folders that inside.sh was given")
    given.add_argument("--checkout", type=Path, default=Path("/usr/src/ukey"))
    given.add_argument("--json", type=Path, help="write the figures there")
    given.add_argument("--compare", type=Path, help="with the figures of that file")
    given.add_argument("--missing", action="store_true", help="the lines that did not run, too")
    return given


raise SystemExit(main(sys.argv[1:]))
