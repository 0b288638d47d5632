# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What SELinux and our module for it cost a machine that boots, in an emulated one.

``scripts/vm-bench`` is what a person calls. One disk boots in turn, round after round, enforcing
with our module and without SELinux. Ratios tell; an emulated processor makes every moment long.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.__main__ import DOCUMENT, say
from bench.report import table, write_between
from bench.stats import ratio, summarise
from tests.guest.console import SHELL
from tests.guest.guest import PIN, Guest

LOGINS = 2  #: in each boot, after one that does not count
TITLES = {
    "module": "SELinux enforcing, our module",
    "none": "no SELinux",
}


@dataclass
class Samples:
    """Of one kind of machine: a boot each, but for logins, of which a boot has several."""

    prompt: list[float] = field(default_factory=list)  #: s, from power-on to getty's prompt
    pin: list[float] = field(default_factory=list)  #: s, from the PIN to the shell
    password: list[float] = field(default_factory=list)  #: the same, by pam_unix alone
    memory: list[int] = field(default_factory=list)  #: bytes, of the unit after these logins


SECONDS: dict[str, Callable[[Samples], list[float]]] = {
    "Power-on to first prompt": lambda samples: samples.prompt,
    "PIN to shell": lambda samples: samples.pin,
    "Password to shell, without pam_ukey": lambda samples: samples.password,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.guest")
    parser.add_argument("base", type=Path)
    parser.add_argument("disk", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", choices=("tables", "json", "document"), default="tables")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/out") as directory:
        found, facts = measure(given.base, given.disk, Path(directory), given.rounds)
    match given.output:
        case "json":
            figures = {kind: asdict(samples) for kind, samples in found.items()}
            print(json.dumps({"machine": facts, "figures": figures}, indent=1))
        case "document":
            tables = render(found, facts)
            print(write_between(DOCUMENT.read_text(), tables, part="guest's figures"), end="")
        case _:
            print(render(found, facts), end="")


def measure(
    base: Path, disk: Path, folder: Path, rounds: int
) -> tuple[dict[str, Samples], dict[str, str]]:
    facts = machine()
    found = {kind: Samples() for kind in TITLES}
    say("making ready")
    with contextlib.closing(Guest(base, disk, folder)) as guest:
        make_ready(guest)
        facts["Linux in the guest"] = guest.root("uname -r").stdout.strip()
        shut_down(guest)
        for turn in range(rounds):
            for kind in TITLES:
                say(f"round {turn + 1} of {rounds}: {TITLES[kind]}")
                once(guest, found[kind], selinux=kind != "none")
    return found, facts


def make_ready(guest: Guest) -> None:
    """Booted once, so that what a first boot does is done, and a ukey is bound."""
    guest.wait_prompt()
    guest.wait_ready()
    guest.wait_ukey()
    guest.bind("alice")


def shut_down(guest: Guest) -> None:
    guest.root("sync; echo u >/proc/sysrq-trigger")
    guest.power_off()


def once(guest: Guest, samples: Samples, *, selinux: bool) -> None:
    """One boot, and logins in it; nothing of it stays."""
    guest.power_on(selinux=selinux, kept=False)
    samples.prompt.append(guest.wait_prompt())
    guest.wait_ready()
    guest.wait_ukey()
    logins(guest, samples.pin, lambda: guest.console.begin("alice"), PIN)
    samples.memory.append(int(guest.service("MemoryCurrent")))
    guest.root("pam-auth-update --remove ukey")
    logins(guest, samples.password, lambda: begin_without(guest), "alice-password")
    guest.power_off()


def begin_without(guest: Guest) -> None:
    guest.console.type("alice")
    guest.console.expect(r"Password: $")


def logins(guest: Guest, into: list[float], begin: Callable[[], None], answer: str) -> None:
    taken = []
    for _turn in range(LOGINS + 1):
        begin()
        started = time.monotonic()
        guest.console.type(answer)
        guest.console.expect(SHELL)
        taken.append(time.monotonic() - started)
        guest.console.logout()
    into += taken[1:]


def machine() -> dict[str, str]:
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()[3]
    return {
        "CPUs": str(os.cpu_count()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "QEMU, emulating two": version,
    }


def render(found: dict[str, Samples], facts: dict[str, str]) -> str:
    base = found["none"]
    head = ["Emulated machine", "n", "median s", "p95 s", "× no SELinux"]
    rows = []
    for what, of in SECONDS.items():
        for kind, title in TITLES.items():
            row = summarise(of(found[kind]))
            times = ratio(of(found[kind]), of(base))
            cells = [f"{what}: {title}", str(row.count), f"{row.median:.2f}", f"{row.p95:.2f}"]
            rows.append([*cells, f"{times.value:.2f} ({times.low:.2f}–{times.high:.2f})"])
    memory = [
        [title, f"{summarise([float(n) for n in found[kind].memory]).median / 2**20:.1f}"]
        for kind, title in TITLES.items()
    ]
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    said = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n\n".join(
        [
            table(head, rows),
            table(["Memory of the keyservice's unit, worker included", "median MiB"], memory),
            f"Measured on {date}: {said}.\n",
        ]
    )


if __name__ == "__main__":
    main()
