# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Many rows of truth tables on the real libpam, in one process of a program in C (rows.c)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.pam.libpam import Outcome
from tests.support.process import must

SECONDS = 120  #: for one process's rows, on a busy machine


def run_rows(program: Path, folder: Path, rows: Sequence[str]) -> list[Outcome]:
    """The result of each of the rows, written as rows.c has them, with its stack in `folder`."""
    output = must([program, folder], input="".join(rows), seconds=SECONDS)
    made = []
    for line in output.splitlines():
        code, setcred, *shown = line.split(" ")
        made.append(Outcome(int(code), int(setcred), shown))
    return made
