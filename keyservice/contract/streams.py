# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Standard input, output and error: they exist in every program of ours, however it was started."""

from __future__ import annotations

import os
import sys


def fill_gaps() -> None:
    """Open /dev/null for each closed standard stream, so that nothing else takes its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
