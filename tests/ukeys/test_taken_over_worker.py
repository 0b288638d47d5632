# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A device worker and the watcher that an attacker has taken over, without SELinux."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.core.errors import ReaderAbsent
from keyservice.ukeys import child
from keyservice.ukeys.endings import Ending
from keyservice.ukeys.pool import Ukeys
from tests.support.host import Host
from tests.support.restore import Restorer
from tests.ukeys.real import SETTINGS, soon

DOUBLE = Path(__file__).with_name("taken_over.py")
SCRATCH = Path("/tmp/taken-over")

#: The acts that only the last step of the confinement prevents: a process of root's may do them all
#: without a capability and without opening a file.
AUTHORITY = {
    "ask root.sock",
    "ask user.sock",
    "ask the system bus",
    "connect to pcscd",
    "another context of PC/SC",
    "a socket of TCP",
    "a socket of the kernel's",
    "a pair of sockets",
    "a pipe",
    "pass a descriptor",
    "take a descriptor",
    "double a descriptor",
    "change a descriptor",
    "signal a process",
    "signal its group",
    "signal by pidfd",
    "signal itself",
    "hold a process",
    "read memory",
    "write memory",
    "take a process's limits",
    "fork",
    "a file of memory",
    "map memory as code",
    "make memory code",
    "look at a file",
    "look at a record",
    "change a file's mode",
    "change a file's time",
    "go elsewhere",
    "be dumped",
    "outlive the service",
    "wait for many",
    "lock memory up",
}


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of root's, in a group of its own."""
    SCRATCH.write_text("nobody's business")
    SCRATCH.chmod(0o600)
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()
    SCRATCH.unlink(missing_ok=True)


def taken_over(part: str, how: str, victim: int) -> tuple[dict[str, str], int]:
    """The outcome of each attempt, and how it ended."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = ["Virtual PCD 00 00"] if part == "worker" else []
    command = [sys.executable, "-I", "-B", str(DOUBLE), how, str(victim), part]
    command += [str(os.getpid()), str(theirs.fileno()), *reader]
    ours.settimeout(30)
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nothing, stdout=nothing, env={}, cwd="/", pass_fds=[theirs.fileno()]
    )
    with ours, process:
        theirs.close()
        lines = []
        while message := ours.recv(8192):
            lines.append(message.decode().partition("\t"))
        status = process.wait(30)
    return {name: outcome for name, _, outcome in lines}, status


@pytest.fixture
def everything(host: Host) -> Host:
    """All processes that it might talk to."""
    host.pcscd()
    host.bus()
    host.keyservice()
    return host


@pytest.mark.parametrize("part", ["worker", "watcher"])
def test_it_can_do_nothing_but_talk(everything: Host, victim: int, part: str) -> None:
    found, status = taken_over(part, "sealed", victim)
    # The watcher sees what files there are: libpcsclite has it ask.
    looks = {"look at a file", "look at a record"} if part == "watcher" else set()
    assert found.keys() >= AUTHORITY - looks
    assert {name: outcome for name, outcome in found.items() if outcome != "ENOSYS"} == {}
    assert found.keys() >= {"any other call", "flood whoever notes refusals"}
    # it ended by itself, as after any work: what the watcher saw ends with pcscd
    assert status == (0 if part == "worker" else Ending.NO_PCSCD)
    assert SCRATCH.stat().st_mode & 0o7777 == 0o600


def test_it_is_the_last_step_that_keeps_it_from_that(everything: Host, victim: int) -> None:
    """Otherwise a refusal above would prove nothing."""
    found, _ = taken_over("worker", "open", victim)
    assert {name for name, outcome in found.items() if outcome == "done"} >= AUTHORITY


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="has one way to call the kernel")
@pytest.mark.parametrize("way", ["i386", "x32"])
def test_calls_of_another_abi_end_it(host: Host, victim: int, way: str) -> None:
    host.pcscd()
    found, status = taken_over("worker", way, victim)
    assert found == {}
    # a kernel without 32-bit programs ends it for the instruction
    assert -status in {signal.SIGSYS, *([signal.SIGSEGV] if way == "i386" else [])}


def test_what_cannot_be_confined_listens_to_no_device(
    host: Host, victim: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.pcscd()
    for part in ("worker", "watcher"):
        assert taken_over(part, "unconfined", victim) == ({}, Ending.UNCONFINED)
    program = (sys.executable, "-I", "-B", str(DOUBLE), "unconfined", "0")
    monkeypatch.setattr(child, "_PROGRAM", program)

    async def scenario() -> None:
        ukeys = Ukeys(SETTINGS)
        await ukeys.start()
        await ukeys.settled(soon())
        with pytest.raises(ReaderAbsent):
            ukeys.check_there()
        await ukeys.stop()

    asyncio.run(scenario())
    assert "cannot be confined: libmissing.so.2" in caplog.text
    assert "no ukey can be used" in caplog.text


#: Runs in place of the installed device worker: without its last step, and with an attacker's wish
#: in place of its work. Its output ends in the service's log.
_BEGGAR = """\
#!/usr/bin/python3 -I
import os, sys, time
sys.path[:0] = ["/usr/lib/ukey", "/usr/lib/ukey/vendor"]
from keyservice.client.session import Bus, SocketSession
from keyservice.contract.names import Flag
from keyservice.contract import operations
from keyservice.ukeys import device, worker
from keyservice.ukeys.confine import Confinement
from keyservice.client import bus_link

told = os.pipe()

def beg(name, door):
    try:
        with door() as session:
            steps = list(session.begin(operations.UNBIND, user="demo", flags=int(Flag.FORCE)))
            print(f"{name}: {steps[-1]}", file=sys.stderr)
    except BaseException as error:
        print(f"{name}: {type(error).__name__} {error}", file=sys.stderr)

def attack(channel, _):
    beg("root.sock", lambda: SocketSession(timeout=5, path="/run/ukey/root.sock"))
    beg("user.sock", lambda: SocketSession(timeout=5, path="/run/ukey/user.sock"))
    beg("bus", lambda: Bus(timeout=5))
    for name in ("its child", "its orphan"):
        child = os.fork()
        if child == 0:
            parent = os.getpid()
            if name == "its child" or os.fork() == 0:
                while name == "its orphan" and os.getppid() == parent:
                    time.sleep(0.01)
                beg(name, lambda: SocketSession(timeout=5, path="/run/ukey/root.sock"))
                os.write(told[1], b".")
            os._exit(0)
        os.waitpid(child, 0)
        os.read(told[0], 1)
    os._exit(1)

worker.serve = attack
Confinement.seal = lambda self: None
device.main()
"""


def test_root_s_rights_are_not_a_worker_s_though_it_is_uid_0(host: Host) -> None:
    """Even where nothing keeps it from connecting: being uid 0 is not enough."""
    host.pcscd()
    host.bus()
    ukey, demo = host.softkey(), host.user()
    service = host.keyservice()
    host.bind(demo, ukey)
    service.stop()
    restorer = Restorer()
    host.at_exit(restorer.restore)
    restorer.write(Path("/usr/libexec/ukey/device-worker"), _BEGGAR, 0o755)
    since = len(host.authlog.lines)
    host.keyservice()
    refused = {"bus": "ServiceRefused This process may ask for nothing"}
    for door in ("root.sock", "user.sock", "bus", "its child", "its orphan"):
        told = host.authlog.wait_for(rf"device worker \d+: {door}: ", since).text
        assert refused.get(door, "Unreachable") in told
    assert host.authlog.find(r"process \d+, a device worker or from one, asks as root", since)
    assert Path("/etc/usbkey/demo").exists()
    assert not Path("/var/lib/ukey/revoked").exists()
