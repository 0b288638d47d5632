# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A process that the service started asks as root: uid 0 is not enough."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keyservice.core import offspring
from tests.servers.buskit import CHECKOUT
from tests.servers.serverkit import BEGIN, ScriptedSessions, serving
from tests.support.process import wait_until

if TYPE_CHECKING:
    from tests.servers.busstage import Stage

#: It gets a path, connects there and begins a login; it prints how many bytes it is answered.
#: "itself" does it, or a "grandchild" whose parent waits for it.
_ASK = """
import os, socket, sys
if sys.argv[1] == "grandchild" and (child := os.fork()):
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for line in sys.stdin:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(line.strip())
        try:
            sock.sendall(bytes.fromhex(sys.argv[2]))
            print(len(sock.recv(4096)), flush=True)
        except OSError:
            print(0, flush=True)
"""

_ASK_THE_BUS = """
import sys
sys.path.insert(0, sys.argv[1])
from jeepney import DBusAddress
from keyservice.client import bus_link
from keyservice.client.channel import ClientError, Deadline
sys.stdin.readline()
bus_link.SYSTEM_BUS = sys.argv[2]
here = DBusAddress("/org/ukey/KeyService1", bus_name=sys.argv[3], interface="org.ukey.KeyService1")
for member in ("ListRevocations", "Status"):
    try:
        bus_link.BusLink(Deadline(10)).call(here, member)
        print("answered", end=" ", flush=True)
    except ClientError as error:
        print(error.name.value, end=" ", flush=True)
"""


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process of ours, which counts as a device worker inside."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    offspring.add(process.pid)
    try:
        yield process
    finally:
        offspring.discard(process.pid)
        process.communicate(timeout=20)


def answered(process: subprocess.Popen[str], path: Path) -> int:
    """The number of bytes that it gets for its login at `path`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    return int(process.stdout.readline())


#: Connects, begins a login, and ends; another process has its connection, and prints the answer.
_BEQUEATH = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(bytes.fromhex(sys.argv[2]))
if os.fork():
    os._exit(0)
try:
    print(len(sock.recv(4096)))
except OSError:
    print(0)
"""


@pytest.mark.parametrize("who", ["itself", "grandchild"])
def test_it_gets_no_session_over_either_socket(place: Path, who: str) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            with child(_ASK, who, BEGIN.hex()) as process:
                for name in ("root.sock", "user.sock"):
                    assert await asyncio.to_thread(answered, process, place / name) == 0
                assert sessions.begun == []
                # another program of root's is served, and so is this one once it is not ours
                offspring.discard(process.pid)
                for name in ("root.sock", "user.sock"):
                    assert await asyncio.to_thread(answered, process, place / name) > 0
        assert len(sessions.begun) == 2

    asyncio.run(run())


@pytest.mark.parametrize("name", ["root.sock", "user.sock"])
def test_who_has_ended_since_is_not_root_whoever_has_the_connection(place: Path, name: str) -> None:
    async def run() -> None:
        sessions = ScriptedSessions()
        async with serving(place, sessions):
            command = [sys.executable, "-I", "-c", _BEQUEATH, str(place / name), BEGIN.hex()]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            process.wait()  # nothing is accepted before
            told, _ = await asyncio.to_thread(process.communicate)
        assert (told, sessions.begun) == (b"0\n", [])

    asyncio.run(run())


def test_the_bus_gives_it_nothing(stage: Stage) -> None:
    async def play(stage: Stage) -> None:
        arguments = (str(CHECKOUT), stage.bus.address, stage.name)
        for ours in (True, False):
            with child(_ASK_THE_BUS, *arguments) as process:
                if not ours:
                    offspring.discard(process.pid)
                told, _ = await asyncio.to_thread(process.communicate, "\n", 20)
            refused = "NotAllowed NotAllowed"
            assert told.split() == (refused if ours else "answered answered").split()

    stage.run(play)


def test_the_service_itself_and_its_parents_are_not_its_offspring() -> None:
    assert not any(offspring.holds(pid) for pid in (os.getpid(), os.getppid(), 1, 0))
    with child("import sys; sys.stdin.read()") as process:
        assert offspring.holds(process.pid)
        assert not offspring.holds(os.getpid())
    assert not offspring.holds(process.pid)


def test_a_parent_that_ends_while_it_is_looked_for_hides_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its child has another one by then. Only this answer of the kernel is made up: no test can end
    a process between two lines."""
    gone, truth = [1 << 22], offspring._parent
    monkeypatch.setattr(offspring, "_parent", lambda pid: gone.pop() if gone else truth(pid))
    with child("import os; os.fork(); os.read(0, 1)") as process:
        offsprings = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: offsprings.read_text() != "", "there is a grandchild")
        assert offspring.holds(int(offsprings.read_text()))
    assert gone == []
