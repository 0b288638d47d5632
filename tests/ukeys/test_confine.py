# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What is left of a worker's rights, seen from inside and from outside."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from keyservice.ukeys.pool import Ukeys
from tests.support import CHECKOUT
from tests.support.process import wait_until
from tests.support.ukeys import Softkey
from tests.ukeys.real import PIN, children, found, run, sign

_LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0

_INSIDE = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from keyservice.ukeys.confine import confine
confine(os.getppid())
def attempt(do):
    try:
        do()
        return "done"
    except OSError as error:
        return error.strerror
print(attempt(lambda: open("/etc/usbkey/alice")))
print(attempt(lambda: os.listdir("/etc/usbkey")))
print(attempt(lambda: open("/etc/usbkey/mallory", "w")))
print(attempt(lambda: open("/proc/self/mem", "rb")))
print(attempt(lambda: os.execv("/bin/sh", ["sh"])))
print(attempt(lambda: os.setuid(1) or os.setuid(0)))
"""


@pytest.mark.skipif(not _LANDLOCK, reason="this kernel has no Landlock")
def test_no_file_can_be_opened_from_inside(tmp_path: Path) -> None:
    records = Path("/etc/usbkey")
    records.mkdir(mode=0o700, exist_ok=True)
    record = records / "alice"
    record.write_text("secret")
    try:
        command = [sys.executable, "-c", _INSIDE, os.fspath(CHECKOUT)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    finally:
        record.unlink()
    assert told.stdout.splitlines() == ["Permission denied"] * 5 + ["Operation not permitted"]


def test_a_child_of_somebody_else_ends_at_once() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1])\n"
    program += "from keyservice.ukeys.confine import confine\nconfine(1 << 22)\nprint('went on')"
    command = [sys.executable, "-c", program, os.fspath(CHECKOUT)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (told.returncode, told.stdout) == (1, "")


def status_of(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def powerless(folder: Path) -> bool:
    return int(status_of(folder)["CapEff"], 16) == 0


def test_workers_and_watcher_from_outside(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        assert await sign(await found(ukeys))
        for pids in children().values():
            for pid in pids:
                folder = Path(f"/proc/{pid}")
                # the worker of the empty reader may be starting still; this is its last step
                wait_until(partial(powerless, folder), f"{pid} without capabilities")
                status = status_of(folder)
                for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    assert int(status[capabilities], 16) == 0
                assert status["NoNewPrivs"] == "1"
                assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
                assert (folder / "environ").read_bytes() in (b"", b"LC_CTYPE=C.UTF-8\0")
                assert PIN not in (folder / "cmdline").read_bytes()
                assert str((folder / "cwd").readlink()) == "/"
                _check_descriptors(folder / "fd")

    os.environ["A_STRANGERS_VARIABLE"] = "1"
    try:
        run(scenario)
    finally:
        del os.environ["A_STRANGERS_VARIABLE"]


def _check_descriptors(folder: Path) -> None:
    """Standard ones, the service's socket and pcscd's, what libraries hold; no other file."""
    for descriptor in folder.iterdir():
        target = str(descriptor.readlink())
        if descriptor.name in ("0", "1"):
            assert target == "/dev/null"
        elif descriptor.name != "2":
            assert target.startswith(("socket:", "anon_inode:")), target
