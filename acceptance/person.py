# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A person does it, at this host: is told what to do, and says when it is done."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from .report import Came
from .steps import Step

BY = "a person"
#: Where hosts without a journal have it.
_FILES = (Path("/var/log/auth.log"), Path("/var/log/secure"))
_ASK = "Enter: it is done; s: skip it; f: it failed; q: go on another time > "


class Later(Exception):
    """The person goes on another time."""


class Person:
    def do(self, step: Step) -> Came:
        """Raises :class:`Later`."""
        print(f"\n== {step.name}\n{step.todo}\n", flush=True)
        while True:
            try:
                said = input(_ASK).strip().lower()
            except (EOFError, KeyboardInterrupt):
                raise Later from None
            match said:
                case "":
                    return Came.PASSED
                case "s":
                    return Came.SKIPPED
                case "f":
                    return Came.FAILED
                case "q":
                    raise Later

    def log(self) -> Sequence[str]:
        """The keyservice's lines since the host booted, oldest first."""
        journal = ["journalctl", "--boot", "--identifier", "keyservice", "--output", "cat"]
        try:
            done = subprocess.run(
                journal, capture_output=True, text=True, errors="replace", timeout=60, check=False
            )
            if done.returncode == 0 and done.stdout:
                return done.stdout.splitlines()
        except (OSError, subprocess.TimeoutExpired):
            pass
        file = next((path for path in _FILES if path.exists()), None)
        return file.read_text(errors="replace").splitlines() if file else []
