# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Thousands of connections that an account without rights holds, and root's login beside them."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyservice.contract.names import BUS_NAME, USER_SOCKET
from tests.support.daemons import BUS_SOCKET, bus_owned
from tests.support.host import Host
from tests.support.process import wait_until
from tests.support.programs import NOBODY
from tests.system.conftest import enrol

#: To each socket.
CONNECTIONS = 2000
#: Of those to the bus, so many become members of it: all that it takes of one uid.
MEMBERS = 256
#: More than so many are taken, whatever limit is set to one uid's.
FEW = 32
#: Seconds that root's login may take.
ENOUGH = 2.0
LOGINS = 5

#: Holds connections to a socket, or waits in the kernel for its turn to be let in; dials again,
#: after a pause, when it is thrown out.
_HOLD = """
import contextlib, socket, sys, threading, time
path, count, members = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
threading.stack_size(1 << 17)
if members:
    from jeepney.io.blocking import open_dbus_connection

def hold(member):
    while True:
        with contextlib.suppress(Exception):
            if member:
                link = open_dbus_connection("unix:path=" + path).sock
            else:
                link = socket.socket(socket.AF_UNIX)
                link.connect(path)
            with link:
                while link.recv(4096):
                    pass
        time.sleep(1)

for number in range(count):
    threading.Thread(target=hold, args=(number < members,)).start()
"""


def taken(path: str) -> int:
    """Connections to the socket that were accepted, or wait for that; proc(5), net/unix."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {path}") for line in lines)


@contextlib.contextmanager
def held(path: str, *, members: int = 0) -> Iterator[None]:
    """CONNECTIONS of nobody's to `path`, as far as whoever listens there takes them."""
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    program = ["/usr/bin/python3", "-I", "-c", _HOLD, path, str(CONNECTIONS), str(members)]
    with subprocess.Popen([*who, *program]) as holder:
        try:
            threads = Path(f"/proc/{holder.pid}/task")
            wait_until(lambda: len(list(threads.iterdir())) > CONNECTIONS, "all there")
            yield
            assert taken(path) > FEW, path
        finally:
            holder.kill()


@pytest.mark.alone
def test_roots_login_is_as_quick_as_ever(
    host: Host, record_property: Callable[[str, object], None]
) -> None:
    bus = host.bus()
    enrolled = enrol(host)

    def login() -> float:
        began = time.monotonic()
        outcome = host.login(enrolled.user, enrolled.right)
        assert outcome.allowed, outcome.screen
        return time.monotonic() - began

    quiet = max(login() for _ in range(LOGINS))
    with held(BUS_SOCKET, members=MEMBERS), held(USER_SOCKET):
        beside = max(login() for _ in range(LOGINS))
        for name, daemon in (("bus", bus), ("keyservice", enrolled.keyservice)):
            assert daemon.running, name
    record_property("quiet", quiet)
    record_property("beside", beside)
    print(f"root's login, the slowest of {LOGINS}: {quiet:.2f} s; beside the floods {beside:.2f} s")
    assert beside <= ENOUGH
    assert bus_owned(BUS_NAME)
