# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The service's belief about who is calling, for processes that try to look like others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access.conversation import Caller
from keyservice.servers.caller import Process, identify, peer_of
from tests.servers.serverkit import NOBODY

#: Takes on the identity that it is told, connects, and waits for its end.
_CONNECT = """
import os, socket, sys
path, how = sys.argv[1], sys.argv[2]
if how == "loginuid":
    open("/proc/self/loginuid", "w").write("1234")
if how == "setuid":
    os.setgroups([]); os.setresuid(65534, 0, 0)
if how == "userns":
    os.setgroups([]); os.setresuid(65534, 65534, 65534)
    os.execvp("unshare", ["unshare", "--user", "--map-root-user", sys.executable, "-I", "-c",
              "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "sys.stdin.read()", path])
s = socket.socket(socket.AF_UNIX)
s.connect(path)
if how == "heir" and os.fork():
    os._exit(0)
if how == "drops":
    os.setresuid(65534, 65534, 65534)
s.send(b"x")
sys.stdin.read()
"""


class Someone:
    """A process that has connected, as the service sees it."""

    def __init__(self, listener: socket.socket, how: str) -> None:
        command = [sys.executable, "-I", "-c", _CONNECT, str(listener.getsockname()), how]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.connection, _ = listener.accept()
        self.peer = peer_of(self.connection)
        self.held = Process.of_socket(self.connection, self.peer)

    @property
    def caller(self) -> Caller:
        return identify(self.peer.uid, self.held, "user.sock")

    def end(self) -> None:
        self.held.close()
        self.connection.close()
        self.process.communicate()


@pytest.fixture
def listener(open_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(10)
        made.bind(str(open_path / "s"))
        (open_path / "s").chmod(0o666)
        made.listen()
        yield made


def unknown(uid: int) -> Caller:
    return Caller(uid, 0, None, None, None, "user.sock")


def test_a_plain_process_is_described(listener: socket.socket) -> None:
    someone = Someone(listener, "plain")
    pid = someone.process.pid
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert started > 0
    assert someone.caller == Caller(0, pid, 0, None, None, "user.sock", started=started)
    someone.end()


def test_a_setuid_program_is_seen_with_its_users_uid(listener: socket.socket) -> None:
    someone = Someone(listener, "setuid")
    assert (someone.caller.uid, someone.caller.ruid) == (0, NOBODY)
    someone.end()


def test_the_login_uid_is_read(listener: socket.socket) -> None:
    someone = Someone(listener, "loginuid")
    someone.connection.recv(1)
    if someone.process.poll() is not None:
        pytest.skip("this sandbox may not set a login uid")
    assert someone.caller.loginuid == 1234
    someone.end()


def test_root_of_a_users_namespace_is_not_root(listener: socket.socket) -> None:
    someone = Someone(listener, "userns")
    assert someone.peer.uid == NOBODY
    assert not someone.caller.root
    someone.end()


def test_who_died_is_not_described_though_another_has_his_connection(
    listener: socket.socket,
) -> None:
    someone = Someone(listener, "heir")
    someone.connection.recv(1)
    someone.process.wait()
    assert someone.caller == unknown(0)
    someone.end()


def test_who_is_somebody_else_by_now_is_not_described(listener: socket.socket) -> None:
    someone = Someone(listener, "drops")
    someone.connection.recv(1)
    assert someone.peer.uid == 0
    assert someone.caller == unknown(0)
    someone.end()


def test_a_process_of_a_foreign_namespace_is_unknown() -> None:
    assert identify(0, Process.of_pid(0), "user.sock") == unknown(0)
    assert identify(0, Process.unknown(), "user.sock") == unknown(0)


def test_a_number_that_was_given_to_another_is_noticed() -> None:
    process = subprocess.Popen(["sleep", "60"])
    held = Process.of_pid(process.pid)
    assert held.alive()
    process.kill()
    process.wait()
    assert not held.alive()
    # the process that has the number now is not the one that the descriptor holds
    held.pid = os.getpid()
    assert identify(0, held, "user.sock") == unknown(0)
    held.close()
    assert not held.alive()


def test_nothing_is_left_open(listener: socket.socket) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        someone = Someone(listener, "plain")
        assert someone.caller.pid
        someone.end()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_controlling_terminal_is_the_kernels_word(listener: socket.socket) -> None:
    master, slave = os.openpty()
    command = ["setsid", "--ctty", sys.executable, "-I", "-c", _CONNECT]
    on_it = subprocess.Popen([*command, str(listener.getsockname()), "plain"], stdin=slave)
    connection, _ = listener.accept()
    held = Process.of_socket(connection, peer_of(connection))
    try:
        found = identify(0, held, "root.sock")
        assert (found.pid, found.terminal) == (on_it.pid, os.fstat(slave).st_rdev)
    finally:
        on_it.kill()
        on_it.wait()
        held.close()
        connection.close()
        os.close(master)
        os.close(slave)
