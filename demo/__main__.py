# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The demo inside the sandbox; ``scripts/demo`` is what a person calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

from demo import cases, prompt, screen, stage
from demo.words import said, speak
from tests.support.process import HostError


def _stop(number: int, _: FrameType | None) -> None:
    """Ctrl-C. Everything in the sandbox ends with this process.

    No exception does it: Python drops one that is raised while a process is forked.
    """
    end = said("Stopped. Nothing of it is left on your machine but the sandbox's root.")
    os.write(sys.stdout.fileno(), f"\n{end}\n".encode())
    os._exit(128 + number)


def main() -> int:
    """Exit status: 0; 1 when a login did not come out as it should, or could not be tried; 130
    after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="demo")
    parser.add_argument("--auto", action="store_true")
    parser.add_argument("--locale", default="C.UTF-8", help="of the people who log in")
    given = parser.parse_args()
    speak(given.locale)
    signal.signal(signal.SIGINT, _stop)
    try:
        with stage.ready(given.locale) as ready:
            cases.enrol(ready)
            right = cases.show_all(ready)
            if not given.auto and sys.stdin.isatty():
                signal.signal(signal.SIGINT, lambda *_: None)  # the shell's and its programs'
                prompt.offer(ready)
    except HostError as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    screen.heading(said("The end. Nothing of it is left on your machine but the sandbox's root."))
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
