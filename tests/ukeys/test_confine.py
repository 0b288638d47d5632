# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rights that a worker still has, seen from inside and from outside."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from keyservice.core.errors import PinWrong
from keyservice.ukeys.operations import CONTAINERS, Arguments
from keyservice.ukeys.pool import Ukeys
from tests.support import CHECKOUT
from tests.support.process import Daemon, wait_until
from tests.support.ukeys import Softkey
from tests.ukeys.real import PIN, back, children, found, run, sign, soon, until

_LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0

_INSIDE = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from keyservice.ukeys.confine import Confinement
Confinement(os.getppid())
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

_WAITING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from smartcard import scard
from keyservice.transport.pcsc import Context
from keyservice.ukeys.confine import Confinement
context = Context()
context.handle()
confinement = Confinement(os.getppid(), waits=True)
confinement.seal()
for _ in range(2):
    known = [(name, scard.SCARD_STATE_UNAWARE) for name in context.readers()]
    known = [(name, state & ~2) for name, state, _ in context.wait(known, 1000)]
    assert known and context.wait(known, 200) == []
os.write(1, b"lives")
os._exit(0)
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
    program += "from keyservice.ukeys.confine import Confinement\n"
    program += "Confinement(1 << 22)\nprint('went on')"
    command = [sys.executable, "-c", program, os.fspath(CHECKOUT)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (told.returncode, told.stdout) == (1, "")


def status_of(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def sealed(folder: Path) -> bool:
    """Whether it has taken its last step: its threads have filters beside those of its parent."""
    filters = int(status_of(folder)["Seccomp_filters"])
    return filters > int(status_of(Path("/proc/self"))["Seccomp_filters"])


@pytest.fixture
def softkey(own_softkey: Softkey) -> Softkey:
    """Behind the real pcscd; the workers are processes."""
    return own_softkey


def test_workers_and_watcher_from_outside(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        assert await sign(await found(ukeys))
        for pids in children().values():
            for pid in pids:
                folder = Path(f"/proc/{pid}")
                # the worker of the empty reader may still be starting; this is its last step
                wait_until(partial(sealed, folder), f"{pid} without system calls")
                status = status_of(folder)
                for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    assert int(status[capabilities], 16) == 0
                assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
                assert status["Threads"] == "1"
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
    """Check for an empty input, a pipe for standard error, the service's socket and pcscd's, and no
    other descriptor."""
    held = {each.name: str(each.readlink()) for each in folder.iterdir()}
    assert [held.pop(name) for name in ("0", "1")] == ["/dev/null"] * 2
    assert held.pop("2").startswith("pipe:")
    assert [target.partition(":")[0] for target in held.values()] == ["socket"] * 2


def test_their_work_needs_nothing_that_is_refused(
    softkey: Softkey, own_pcscd: Daemon, tmp_path: Path
) -> None:
    """The paths after a refusal are seldom tested, least of all in other people's libraries."""

    async def scenario(ukeys: Ukeys) -> None:
        handle = await found(ukeys)
        traces = []
        for pid in [pid for pids in children().values() for pid in pids]:
            log = tmp_path / str(pid)
            command = ["strace", "-p", str(pid), "-o", str(log)]
            strace = subprocess.Popen(command, stderr=subprocess.PIPE)
            assert strace.stderr is not None
            assert b"attached" in await asyncio.to_thread(strace.stderr.readline)
            traces.append((strace, log))
        assert await sign(handle)
        with pytest.raises(PinWrong):
            await sign(handle, b"111111")
        assert await sign(handle)
        assert await handle.do(CONTAINERS, Arguments(), soon())
        softkey.remove()
        await until(ukeys, lambda: ukeys.present()[0].card_present is False)
        softkey.insert()
        await back(ukeys)
        own_pcscd.kill()
        await until(ukeys, lambda: ukeys.present() == [])
        calls = []
        for strace, log in traces:
            await asyncio.to_thread(strace.communicate)  # ends with what it traces
            calls += log.read_text().splitlines()
        assert any(call.startswith("sendto(") for call in calls)
        assert [call for call in calls if "ENOSYS" in call] == []

    run(scenario)


def test_the_watcher_lives_through_a_wait_in_vain(softkey: Softkey) -> None:
    """libpcsclite then asks for pcscd's socket. The product waits a minute; this less."""
    command = [sys.executable, "-c", _WAITING, os.fspath(CHECKOUT)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert told.stdout == "lives", told.stderr


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY,
    reason="nobody may lock much memory here",
)
def test_their_memory_is_locked(softkey: Softkey) -> None:
    async def scenario(ukeys: Ukeys) -> None:
        assert await sign(await found(ukeys))
        for pid in [pid for pids in children().values() for pid in pids]:
            wait_until(partial(sealed, Path(f"/proc/{pid}")), f"{pid} without system calls")
            status = status_of(Path(f"/proc/{pid}"))
            assert status["VmLck"].split()[0] != "0"

    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    try:
        run(scenario)
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)
