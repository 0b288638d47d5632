# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Measure everything once. Runs in the sandbox: ``scripts/bench`` is what a person calls."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import comparators, ours, sm2
from bench.figures import Figures
from bench.report import render, write_between
from bench.timing import interleave, prove

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SM2_TURNS = 9
BUSY = 0.7  #: a load average above which figures are no good
PACKAGES = {
    "Linux-PAM": "libpam0g",
    "pcscd": "pcscd",
    "pam_p11": "libpam-p11",
    "SoftHSM2": "softhsm2",
    "pam_u2f": "libpam-u2f",
    "OpenSSL": "libssl3",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--output", choices=("tables", "json", "document"), default="tables")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(given.rounds, Path(directory))
    match given.output:
        case "json":
            print(figures.to_json())
        case "document":
            print(write_between(DOCUMENT.read_text(), render(figures)), end="")
        case _:
            print(render(figures), end="")


def measure(rounds: int, workdir: Path) -> Figures:
    """Everything, in one go. Says on standard error what is under way."""
    facts = machine()
    if os.getloadavg()[0] > BUSY:
        say("the machine does other things as well: figures will be too high")
    with ours.ready() as host:
        say(f"logins, {rounds} rounds")
        user = host.user
        contenders = [
            comparators.permit(user),
            comparators.u2f(user),
            comparators.p11(user, workdir),
            *host.contenders(),
        ]
        for contender in contenders:
            prove(contender, workdir)
        logins = interleave(contenders, rounds, workdir)
        say(f"inside a login, {rounds} rounds")
        session = host.sessions(rounds, workdir)
        memory = host.memory()
    say("SM2 verification")
    return Figures(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=facts,
        logins=logins,
        session=session,
        memory=memory,
        sm2=sm2.measure(min(SM2_TURNS, rounds), workdir),
    )


def machine() -> dict[str, str]:
    """The facts that the figures depend on, and nothing that names this machine."""
    facts = {
        "CPUs": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "Linux": platform.release().partition("-")[0],
        "Python": platform.python_version(),
    }
    return facts | {name: version(package) for name, package in PACKAGES.items()}


def version(package: str) -> str:
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    done = subprocess.run(query, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout


def say(text: str) -> None:
    print(f"bench: {text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
