# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The demo inside the sandbox; ``scripts/demo`` is what a person calls."""

from __future__ import annotations

import argparse
import sys

from demo import cases, prompt, screen, stage
from tests.support.process import HostError


def main() -> int:
    """Exit status: 0; 1 when a login did not come out as it should, or could not be tried."""
    parser = argparse.ArgumentParser(prog="demo")
    parser.add_argument("--auto", action="store_true")
    given = parser.parse_args()
    try:
        with stage.ready() as ready:
            cases.enrol(ready)
            right = cases.show_all(ready)
            if not given.auto and sys.stdin.isatty():
                prompt.offer(ready)
    except HostError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    screen.heading("The end. Nothing of it is left on your machine but the sandbox's root.")
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
