# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The cost of SELinux and of our module for a machine that boots, taken in an emulated one.

``scripts/vm-bench`` is what a person calls. Machines boot in turn, round after round: enforcing
with our module, enforcing without it, and without SELinux. Only ratios mean something: an emulated
processor makes everything slow.
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
from statistics import median

from bench.__main__ import DOCUMENT, say
from bench.report import table, write_between
from tests.guest.console import SHELL
from tests.guest.guest import PIN, Guest

LOGINS = 2  #: in each boot, after one that does not count
#: The rights that a host without the module needs too: pcscd finds a USB reader, login may ask, and
#: the tools hear the answers of a service that has no domain.
ALLOWED = """\
(allow pcscd_t sysfs_t (filesystem (getattr)))
(allow pcscd_t udev_runtime_t (dir (getattr search open read ioctl lock)))
(allow pcscd_t udev_runtime_t (file (getattr open read ioctl lock)))
(allow pcscd_t udev_runtime_t (lnk_file (getattr read)))
(allow local_login_t var_run_t (sock_file (write)))
(allow local_login_t initrc_t (unix_stream_socket (connectto)))
(allow initrc_t unconfined_t (dbus (send_msg)))
"""
TITLES = {
    "module": "SELinux enforcing, our module",
    "without": "SELinux enforcing, without it",
    "none": "no SELinux",
}


@dataclass
class Samples:
    """The samples of one kind of machine: one for each boot, but several logins in each."""

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
    with contextlib.ExitStack() as guests:
        booted: dict[str, Guest] = {}
        for kind in ("module", "without"):
            say(f"making ready: {TITLES[kind]}")
            place = folder / kind
            place.mkdir()
            booted[kind] = guests.enter_context(contextlib.closing(Guest(base, disk, place)))
            make_ready(booted[kind], module=kind == "module")
            facts["Linux in the guest"] = booted[kind].root("uname -r").stdout.strip()
            booted[kind].shut_down()
        booted["none"] = booted["module"]  # the same disk, another kernel's command line
        for turn in range(rounds):
            for kind in TITLES:
                say(f"round {turn + 1} of {rounds}: {TITLES[kind]}")
                once(booted[kind], found[kind], selinux=kind != "none", turn=turn)
    return found, facts


def make_ready(guest: Guest, *, module: bool) -> None:
    """Boots once, so that the work of a first boot is done, and binds a ukey."""
    guest.wait_prompt()
    guest.wait_ready()
    guest.wait_ukey()
    guest.bind("alice")
    if not module:
        guest.put(ALLOWED, "/root/allowed.cil")
        unload = "/usr/libexec/ukey/selinux-module unload"
        guest.root(f"{unload} && semodule --install /root/allowed.cil", seconds=400)


def once(guest: Guest, samples: Samples, *, selinux: bool, turn: int) -> None:
    """One boot, and logins in it, in the opposite order at every second turn; nothing of it
    stays."""
    guest.power_on(selinux=selinux, kept=False)
    samples.prompt.append(guest.wait_prompt())
    guest.wait_ready()
    guest.wait_ukey()
    for by_ukey in (True, False) if turn % 2 == 0 else (False, True):
        guest.root(f"pam-auth-update {'--enable' if by_ukey else '--remove'} ukey")
        if by_ukey:
            logins(guest, samples.pin, lambda: guest.console.begin("alice"), PIN)
            samples.memory.append(int(guest.service("MemoryCurrent")))
        else:
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
    head = ["Emulated machine", "n", "median s", "from", "to", "× no SELinux"]
    rows = []
    for what, of in SECONDS.items():
        for kind, title in TITLES.items():
            samples = of(found[kind])
            figures = (
                median(samples),
                min(samples),
                max(samples),
                median(samples) / median(of(base)),
            )
            cells = (f"{figure:.2f}" for figure in figures)
            rows.append([f"{what}: {title}", str(len(samples)), *cells])
    memory = [
        [title, f"{median(found[kind].memory) / 2**20:.1f}"] for kind, title in TITLES.items()
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
